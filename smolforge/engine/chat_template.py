"""Chat templates found in model files: rendered where they can do no harm, and cut so that content stays content.

In: the Jinja source of a file that nobody vouches for, messages and tools. Out: pieces of a prompt, each a control
token or plain text. Rendering happens in a process of its own (``template_worker.py``) with limits on memory,
instructions and time; a hostile template costs a second and an error.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from smolforge.errors import DataError, FormatError

WORKER = Path(__file__).with_name("template_worker.py")
# For one rendering: the worker counts its own work (CPU_SECONDS there), so waiting for a busy machine costs nothing.
SECONDS = 60.0 if hasattr(signal, "setitimer") else 0.8
START_SECONDS = 60.0  # until a fresh process answers, on a machine that is busy
MAX_SOURCE = 1 << 20
MAX_VARIABLES = 16 << 20
MARK = "\ufdd2"  # a noncharacter, never assigned: breaks look-alikes of control tokens inside content
_GENERATION = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")  # marks for trainers, without effect on the text


class TemplateSandbox:
    """One worker process, started when first used (or by ``warm``) and again after it was killed. Thread-safe."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._answered = False

    def warm(self) -> None:
        """Start the process, without waiting for it."""
        with self._lock:
            self._started()

    def render(self, source: str, variables: Mapping[str, Any]) -> str:
        """Return the prompt. DataError: the template refuses these messages; FormatError: the template is at fault."""
        request = json.dumps({"source": source, "variables": dict(variables)}).encode() + b"\n"
        if len(source) > MAX_SOURCE or len(request) > MAX_VARIABLES:
            raise DataError(f"a chat of {len(request)} bytes is too long for the template (at most {MAX_VARIABLES})")
        with self._lock:
            answer = self._ask(request)
        if "refused" in answer:
            raise DataError(f"the model's chat template refuses this chat: {answer['refused']}")
        if "text" not in answer:
            raise FormatError(f"the model's chat template failed: {answer.get('error', 'no answer')}")
        return str(answer["text"])

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._kill()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
            self._process = subprocess.Popen(
                [sys.executable, "-I", str(WORKER)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
                start_new_session=True,  # Ctrl-C in a terminal is meant for the turn, not for this process
            )  # fmt: skip
            self._answered = False
            weakref.finalize(self, _end, self._process)
        return self._process

    def _ask(self, request: bytes) -> dict[str, str]:
        process = self._started()
        deadline = time.monotonic() + (SECONDS if self._answered else START_SECONDS)
        line = _exchange(process, b'{"source": "", "variables": {}}\n', deadline) if not self._answered else b"{}"
        if line is not None:
            self._answered = True
            line = _exchange(process, request, time.monotonic() + SECONDS)
        if line is None:
            self._kill()
            return {"error": "it did not finish within its limits of time and memory"}
        found: dict[str, str] = json.loads(line)
        return found

    def _kill(self) -> None:
        if self._process is not None:
            _end(self._process)
            self._process = None


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _exchange(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes | None:
    """Send one line and read one line; None when the process is late or gone. The thread ends when it is killed."""
    lines: list[bytes] = []

    def talk() -> None:
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError, ValueError):  # killed meanwhile
            process.stdin.write(request)
            process.stdin.flush()
            lines.append(process.stdout.readline())

    thread = threading.Thread(target=talk, name="chat template", daemon=True)
    thread.start()
    thread.join(max(0.0, deadline - time.monotonic()))
    return lines[0] if lines and lines[0].endswith(b"\n") else None


_SANDBOX = TemplateSandbox()


def warm() -> None:
    """Start the worker process in the background, so that the first chat need not wait for it."""
    _SANDBOX.warm()


def lay_out(
    source: str, variables: Mapping[str, Any], controls: re.Pattern[str], ends: Mapping[str, str]
) -> list[tuple[str, bool]]:
    """Render a chat and cut it into (text, is a control token).

    ``ends``: the texts of ``bos_token`` and ``eos_token``, which a template may write. ``controls`` has one group that
    matches the control tokens' texts. Where one of them stands in ``variables`` (what people and tools wrote), a mark
    keeps it from being one; the mark is taken out again after the cut. The template sees the marked text, so a search
    of its own for such a token inside content finds nothing there.
    """
    given = json.dumps(variables, ensure_ascii=False, sort_keys=True)
    if MARK in given:
        raise DataError("a message or a tool holds the Unicode noncharacter U+FDD2")
    try:
        given.encode()
    except UnicodeEncodeError:
        raise DataError("a message or a tool holds a lone surrogate, which cannot be encoded") from None
    # Not remembered: rendering takes under a millisecond, and what people write should not outlive their request.
    text = _SANDBOX.render(_GENERATION.sub("", source), {**_marked(variables, controls), **ends})
    parts = controls.split(text)
    return [(part.replace(MARK, ""), bool(i % 2)) for i, part in enumerate(parts) if part]


def _marked(value: Any, controls: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return controls.sub(lambda found: found[0][0] + MARK + found[0][1:], value)
    if isinstance(value, Mapping):
        return {_marked(key, controls): _marked(item, controls) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_marked(item, controls) for item in value]
    return value
