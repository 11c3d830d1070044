"""Extraction: the text of a web page, by a fast tool on every page and a careful one where it matters."""
