"""The command line: `smolforge chat`, `pull`, `run` and the other verbs of ``GROUPS``.

Input is the words of the command; each verb's module does the work. Standard output carries the answer and nothing
else. Exit codes: 0 done, 2 something the person can fix (one line says what), 1 a defect (its traceback), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import codecs
import importlib
import io
import os
import sys
from collections.abc import Sequence

import smolforge
from smolforge.errors import SmolforgeError, nearest, place_problem

GROUPS = {
    "Use a model": {
        "chat": "talk to a model, or ask it one question",
        "generate": "continue a text with a model, without a chat template",
        "serve": "answer OpenAI and Ollama clients over HTTP, and a chat page in the browser",
    },
    "Tasks": {
        "classify": "say which label fits a text, and how likely each is",
        "extract": "find the data in a text: JSON that fits a schema, and where each value stands",
        "summarize": "say in a few sentences what a text says, in its language or another",
        "call": "pick functions and their arguments for what is asked, and run them if you like",
        "apply": "do one of these to every row of a table; goes on where it was",
    },
    "Models on this machine": {
        "pull": "fetch a model from the Hugging Face hub, checked and resumable",
        "ls": "list the models on this machine",
        "show": "say what a model is: architecture, size, types, context, licence",
        "rm": "remove a model from the Hugging Face cache",
    },
    "Measure and shrink": {
        "bench": "measure a model's speed, memory and energy on this machine",
        "perplexity": "score a text with a model",
        "estimate": "say whether a model fits this machine and how fast it would be",
        "quantize": "write a model as a smaller GGUF file",
    },
    "Build your own": {
        "run": "run a recipe from raw text to report; finished stages are kept",
        "plan": "check a recipe and say what it would cost, without running it",
        "corpus": "look into a corpus and tune how it is made: limits of rules, plans",
        "report": "print where the report of the newest finished run is",
        "doctor": "say what this machine has and what to install",
    },
}
VERBS = {name: text for group in GROUPS.values() for name, text in group.items()}

WELCOME = """\
smolforge {version}: build, measure and run compact language models on your own machine.

{groups}

Start here:
  smolforge chat                       # the model that is here; 'smolforge doctor' says which
  smolforge run recipes/nano.yaml      # a model of your own on a laptop's CPU, in minutes
  smolforge chat run                   # then talk to it

Each verb says more with --help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _write_any_text()
    try:
        if garbled := next((word for word in words if not _is_text(word)), None):
            raise SmolforgeError(f"{garbled!r}: not UTF-8 text")
        return _dispatch(words)
    except SmolforgeError as error:
        print(f"smolforge: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except MemoryError:
        print("smolforge: out of memory: a smaller model, a smaller --context or --kv q8 takes less", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of a pipe left; that is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        problem = place_problem(error)
        if problem is None:
            raise
        print(f"smolforge: {problem}", file=sys.stderr)
        return problem.exit_code


def _write_any_text() -> None:
    """Write UTF-8 into pipes and files, whatever the locale; a terminal shows '?' for what it cannot."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _is_text(word: str) -> bool:
    """Whether a word of the command line was UTF-8: Python keeps other bytes as lone surrogates."""
    return not any("\udc80" <= character <= "\udcff" for character in word)


def read_input() -> str:
    """Return standard input as text; SmolforgeError names the first byte that is not UTF-8."""
    if isinstance(sys.stdin, io.TextIOWrapper):  # a locale may have chosen another encoding, or to pass bytes through
        sys.stdin.reconfigure(encoding="utf-8", errors="strict")
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise SmolforgeError(f"standard input: not UTF-8 text (byte {error.start})") from None


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(welcome())
        return 0
    if words[0] in ("-V", "--version"):
        print(smolforge.__version__)
        return 0
    if words[0] not in VERBS:
        raise SmolforgeError(f"'{words[0]}': no such verb{nearest(words[0], VERBS)}; verbs: {', '.join(VERBS)}")
    verb = importlib.import_module(f"smolforge.cli.{words[0]}_verb")
    parser = Parser(prog=f"smolforge {words[0]}", description=VERBS[words[0]])
    verb.arguments(parser)
    code: int = verb.run(parser.parse_args(words[1:]))
    return code


def welcome() -> str:
    """Return what `smolforge` without arguments shows."""
    groups = [
        "\n".join([f"{title}:", *(f"  smolforge {name:<11} {text}" for name, text in verbs.items())])
        for title, verbs in GROUPS.items()
    ]
    return WELCOME.format(version=smolforge.__version__, groups="\n\n".join(groups))


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose mistakes are one line, with the nearest option."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise instead of printing the usage; main() prints one line and returns 2."""
        word = message.rpartition(": ")[2].split(" ")[0] if "unrecognized" in message else ""
        options = [option for action in self._actions for option in action.option_strings]
        raise SmolforgeError(f"{self.prog}: {message}{nearest(word, options) if word else ''} (see {self.prog} --help)")


if __name__ == "__main__":
    sys.exit(main())
