"""Quality rules as data, and what judges documents by them."""
