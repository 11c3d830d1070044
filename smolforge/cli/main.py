"""The command line: `smolforge run|plan|chat|generate|report|doctor`.

Input is the words of the command; each verb's module does the work. Standard output carries the answer and nothing
else. Exit codes: 0 done, 2 something the person can fix (one line says what), 1 a defect (its traceback), 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence

import smolforge
from smolforge.errors import SmolforgeError, nearest

VERBS = {
    "run": "run a recipe from raw text to report; finished stages are kept",
    "plan": "check a recipe and say what it would cost, without running it",
    "chat": "talk to a model folder or to the newest finished run",
    "generate": "continue a text with a model, without a chat template",
    "report": "print where the report of the newest finished run is",
    "doctor": "say what this machine has and what to install",
}

# What is wrong with a place on the disk, not with us: no permission, no room, read-only, a file where a folder goes.
PLACES = {
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG,
}  # fmt: skip

WELCOME = """\
smolforge {version}: build, measure and run compact dual-mode language models, from one recipe file.

{verbs}

Start here:
  smolforge doctor
  smolforge run recipes/nano.yaml      # a small model on a laptop's CPU, in minutes
  smolforge chat                       # then talk to it
  smolforge plan recipes/3b.yaml       # what the published SmolLM3-3B recipe would take

Each verb says more with --help."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if garbled := next((word for word in words if not _is_text(word)), None):
            raise SmolforgeError(f"{garbled!r}: not UTF-8 text")
        return _dispatch(words)
    except SmolforgeError as error:
        print(f"smolforge: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of a pipe left; that is its right
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if error.errno not in PLACES:
            raise
        print(f"smolforge: {error.filename or 'writing'}: {error.strerror}", file=sys.stderr)
        return SmolforgeError.exit_code


def _is_text(word: str) -> bool:
    """Whether a word of the command line was UTF-8: Python keeps other bytes as lone surrogates."""
    return not any("\udc80" <= character <= "\udcff" for character in word)


def read_input() -> str:
    """Return standard input as text; SmolforgeError names the first byte that is not UTF-8."""
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
    verbs = "\n".join(f"  smolforge {name:<9} {text}" for name, text in VERBS.items())
    return WELCOME.format(version=smolforge.__version__, verbs=verbs)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose mistakes are one line, with the nearest option."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """Raise instead of printing the usage; main() prints one line and returns 2."""
        word = message.rpartition(": ")[2].split(" ")[0] if "unrecognized" in message else ""
        options = [option for action in self._actions for option in action.option_strings]
        raise SmolforgeError(f"{self.prog}: {message}{nearest(word, options) if word else ''} (see {self.prog} --help)")


if __name__ == "__main__":
    sys.exit(main())
