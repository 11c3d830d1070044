"""The parts of ``benchmarks/engine.py``: models of known shape, the peer, and one file a group of claims."""
