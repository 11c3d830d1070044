"""smolforge: build, measure and run compact dual-mode language models of your own."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from smolforge.engine.engine import Engine
    from smolforge.generator import Sampling

__all__ = ["Engine", "Sampling", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Bring a name in when it is first asked for: `import smolforge` alone stays quick."""
    if name == "Engine":
        from smolforge.engine.engine import Engine

        return Engine
    if name == "Sampling":
        from smolforge.generator import Sampling

        return Sampling
    raise AttributeError(f"module 'smolforge' has no attribute '{name}'")
