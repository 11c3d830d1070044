"""Duplicates: exact copies, near copies, boilerplate lines and repeated passages."""
