"""smolforge: build, measure and run compact dual-mode language models of your own."""

__version__ = "0.1.0"
