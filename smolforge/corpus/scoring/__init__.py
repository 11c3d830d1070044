"""Models that score documents: quality and toxicity, the labels they learn from."""
