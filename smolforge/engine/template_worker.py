"""The process that renders chat templates found in model files: no files, no clock, no Python objects, bounded memory.

In: JSON lines ``{"source", "variables"}`` on standard input. Out: one JSON line each, ``{"text"}`` or ``{"error"}``.
It runs alone (``python -I``), without this package; ``chat_template.py`` starts it, and kills it when late.
"""

from __future__ import annotations

import json
import signal
import sys
from functools import lru_cache
from typing import Any

import minijinja

FUEL = 3_000_000  # template instructions; a long chat with many tools takes about a tenth of it
CPU_SECONDS = 0.8  # for one rendering; ordinary ones take under a millisecond
MEMORY = 384 << 20  # bytes of address space, the interpreter's own included
MAX_TEXT = 16 << 20  # characters of one prompt


class Refused(ValueError):
    """The template called ``raise_exception``: these messages do not fit it."""


def _raise(message: str) -> None:
    raise Refused(str(message)[:500])


def _tojson(value: Any, indent: int | None = None, **_: Any) -> str:
    """As transformers does it: no HTML escapes, not ASCII only."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def environment() -> minijinja.Environment:
    """Jinja as chat templates expect it: block tags take their line break, unknown variables are empty."""
    made = minijinja.Environment(fuel=FUEL, trim_blocks=True, lstrip_blocks=True, undefined_behavior="lenient")
    made.add_global("raise_exception", _raise)
    made.add_filter("tojson", _tojson)
    return made


@lru_cache(maxsize=4)
def _compiled(source: str) -> minijinja.Environment:
    made = environment()
    made.add_template("chat", source)
    return made


def render(source: str, variables: dict[str, Any]) -> str:
    """Return the prompt; Refused or minijinja.TemplateError say why not."""
    text = _compiled(source).render_template("chat", **variables)
    if len(text) > MAX_TEXT:
        raise Refused(f"the prompt has {len(text)} characters, more than {MAX_TEXT}")
    return text


def answer(line: str) -> dict[str, str]:
    """Return what one request is answered with."""
    try:
        request = json.loads(line)
        return {"text": render(request["source"], request["variables"])}
    except Refused as error:
        return {"refused": str(error)}
    except Exception as error:  # whatever a template does is its author's mistake, and said to the person
        return {"error": (str(error).splitlines() or [type(error).__name__])[0][:500]}


def limit_memory() -> None:
    """Bound the address space where the system can (not on Windows, where only time and instructions are bounded)."""
    try:
        import resource
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Answer until the other side closes."""
    limit_memory()
    timed = hasattr(signal, "setitimer")  # not on Windows, where the other side's clock is all there is
    sys.stdin.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    for line in sys.stdin:
        if timed:  # the system ends this process when its own work takes longer, however busy the machine is
            signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        sys.stdout.write(json.dumps(answer(line)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
