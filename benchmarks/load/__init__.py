"""The parts of ``benchmarks/serve.py``: what clients ask, how they ask it, and the servers they ask."""
