"""Benchmarks in training text: packs of questions, an index of them, the search and its report."""
