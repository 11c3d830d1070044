"""Hostile places: names that are none, loops, pipes, checkouts that lead outside, datasets whose cards are bombs.

``inputs`` lie in one folder; checkouts and datasets are sources of their own; what is ``refused`` cannot be used at all
and must be an error that says where.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from smolforge.corpus.text.words import printable
from tests.corpus.hostile.common import ANY, DROPPED, PROBLEM, TEXT, Hostile, file, good_text, noise, places, quiet
from tests.corpus.hostile.tables import _arrow, _table

FAMILY = "places"
OUTSIDE = "The secret of the house stands in this file and in no other."


def inputs() -> Iterator[Hostile]:
    """Yield files with hostile names, and things that are no files."""
    for number, name in enumerate(_names()):
        text = good_text(f"name {number}")
        yield Hostile(FAMILY, printable(os.fsdecode(name)), _named(name, text), frozenset({TEXT}), (text,))
    things: dict[str, Callable[[Path], object]] = {
        "pipe.jsonl": os.mkfifo,
        "socket.txt": _socket,
        "loop.txt": lambda path: path.symlink_to(path.name),
        "self": lambda path: path.symlink_to("."),
        "above.txt": lambda path: path.symlink_to("../.."),
        "gone.html": lambda path: path.symlink_to("nowhere"),
        "device.txt": lambda path: path.symlink_to("/dev/zero"),
        "passwords.txt": lambda path: path.symlink_to("/etc/passwd"),
    }
    for thing, make in things.items():
        yield Hostile(FAMILY, thing, make, frozenset({PROBLEM}))
    for suffix in ("txt", "jsonl", "parquet", "warc.gz"):
        text = good_text(f"folder {suffix}")
        yield Hostile(FAMILY, f"folder.{suffix}/inside.txt", _inside(text), frozenset({TEXT}), (text,))
    for suffix in ("jsonl", "csv", "warc", "parquet", "arrow"):
        yield file(FAMILY, f"mislabelled.{suffix}", b"%PDF-1.7" + noise(suffix, 500))
        yield file(FAMILY, f"zipped.{suffix}", b"PK\x03\x04" + noise(suffix, 500))
        yield file(FAMILY, f"program.{suffix}", b"\x7fELF" + noise(suffix, 500))


def _names() -> Iterator[bytes]:
    for name in ("with blank", " leading", "trailing ", "new\nline", "tab\t", "quo'te\"s", "back\\slash", "star*",
        "dollar$HOME", "semi;colon",
                 "-rf", "~", "%s%n", "{0}", "#hash", "plus+1", "at#byte0", "ampersand&", "\u202etxt", "\u200b", "漢字",
                 "émigré",
                 "e\u0301migre\u0301", "a" * 240, "CON", "x..", "x...y"):  # fmt: skip
        yield f"{name}.txt".encode()
    for raw in (b"\xff", b"caf\xe9", b"\xed\xa0\x80", b"\x80\x81", b"\x01\x02", b"\x1b[31m"):
        yield raw + b".txt"


def _named(name: bytes, text: str) -> Callable[[Path], object]:
    return lambda path: Path(os.fsdecode(os.fsencode(path.parent) + b"/" + name)).write_text(text)


def _inside(text: str) -> Callable[[Path], object]:
    def write(path: Path) -> None:
        path.parent.mkdir()
        path.write_text(text)

    return write


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's address has 108 bytes at most
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(before)


def checkout(root: Path, names: dict[str, bytes], tracked: dict[bytes, int] | None = None) -> None:
    """Write a working tree with an index, without running git; ``tracked`` are names and modes beside the files'."""
    (root / ".git").mkdir(parents=True)
    for name, data in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    entries = {name.encode(): 0o100644 for name in names} | (tracked or {})
    body = b"".join(_entry(name, mode) for name, mode in sorted(entries.items()))
    (root / ".git" / "index").write_bytes(b"DIRC" + struct.pack(">2I", 2, len(entries)) + body + bytes(20))


def _entry(name: bytes, mode: int) -> bytes:
    fixed = (
        bytes(24) + struct.pack(">I", mode) + bytes(12) + bytes(20) + struct.pack(">H", min(len(name), 0xFFF)) + name
    )
    return fixed + bytes(8 - len(fixed) % 8)


def code(name: str) -> bytes:
    """Return a Python module of its own."""
    return "\n".join(
        f'def step_{n}(value):\n    """{good_text(f"{name} {n}", 1)}"""\n    return value * {n} + len("{name}")\n'
        for n in range(6)
    ).encode()


def checkouts(folder: Path) -> Iterator[Hostile]:
    """Yield hostile tracked paths; ``folder`` is the checkout they are written to, beside good modules."""
    folder.parent.mkdir(parents=True)
    (folder.parent / "outside.py").write_text(f'"""{OUTSIDE}"""\n')
    tracked: dict[bytes, int] = {
        b"../outside.py": 0o100644,
        b"a/../../outside.py": 0o100644,
        os.fsencode(folder.parent / "outside.py"): 0o100644,
        b"link/outside.py": 0o100644,
    }
    counted: dict[bytes, int] = {
        b"module.py": 0o160000,
        b"link.py": 0o120000,
        b"gone.py": 0o100644,
        b"gone/\xff.py": 0o100644,
    }
    binary = {"zeros.py": bytes(3000), "noise.py": noise("code", 3000), "utf16.py": "x = 1\n".encode("utf-16-be")}
    checkout(folder, {f"good_{n}.py": code(f"good {n}") for n in range(6)} | binary, tracked | counted)
    (folder / "link").symlink_to(folder.parent)
    (folder / "link.py").symlink_to(folder.parent / "outside.py")
    (folder / ".git" / "config").write_bytes(b"\xff[remote\n" + noise("config", 300))
    (folder / ".git" / "HEAD").write_bytes(noise("head", 300))
    for name in tracked:
        yield Hostile("checkout", os.fsdecode(name), lambda path: None, frozenset({PROBLEM}))
    for name in counted:
        yield Hostile("checkout", os.fsdecode(name), lambda path: None, frozenset({"nothing"}))
    for text in binary:
        yield Hostile("checkout", text, lambda path: None, quiet())


_BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)  # fmt: skip
CARDS = {
    "licence-bomb": f"{_BOMB}license: *i\n",
    "files-bomb": f"{_BOMB}configs:\n- config_name: x\n  data_files: *i\n",
    "names-bomb": f"{_BOMB}configs:\n- config_name: *i\n  data_files: '*.arrow'\n",
    "deep": "license: " + "[" * 5000,
    "torn": "configs: [{",
    "date": "license: 2024-99-99\n",
    "number": "configs: 5\nlicense: 7\n",
    "object": "license: !!python/object/apply:os.system ['true']\n",
    "patterns": "configs:\n- data_files: ['../../**', '/etc/*', '" + "*a" * 200 + "']\n",
    "null": "configs: [null, {}, {data_files: null}]\n",
}


def dataset(root: Path, card: str) -> str:
    """Write a dataset folder with a hostile card and one good text; return the text."""
    text = good_text(f"dataset {root.name}")
    root.mkdir(parents=True)
    (root / "README.md").write_text(f"---\n{card}\n---\n# Data\n")
    (root / "data.jsonl").write_text('{"text": "' + text + '"}\n')
    return text


def refused(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write sources that cannot be used; yield the kind and path of each."""
    checkout(folder / "whole", {f"m{n}.py": code(f"m{n}") for n in range(4)})
    index = (folder / "whole" / ".git" / "index").read_bytes()[:-20]
    for number, end in enumerate(places(len(index), 24)[:-1]):
        root = folder / f"index-{number}"
        checkout(root, {"m.py": code("m")})
        (root / ".git" / "index").write_bytes(index[:end])
        yield "git", root
    for name, data in {
        "count": b"DIRC" + struct.pack(">2I", 2, 1 << 31), "version": b"DIRC" + struct.pack(">2I", 9, 1),
        "magic": b"XXXX" + bytes(40),
        "zero": b"", "compressed": b"DIRC" + struct.pack(">2I", 4, 2) + bytes(61) + b"\xff" * 400,
    }.items():  # fmt: skip
        checkout(folder / name, {"m.py": code("m")})
        (folder / name / ".git" / "index").write_bytes(data)
        yield "git", folder / name
    for name, pointer in {
        "pointer-gone": b"gitdir: /nowhere",
        "pointer-loop": b"gitdir: .",
        "pointer-binary": b"\xff\xfe",
    }.items():
        (folder / name).mkdir()
        (folder / name / ".git").write_bytes(pointer)
        yield "git", folder / name
    for name in ("empty", "other"):
        (folder / name).mkdir()
        yield "folder", folder / name
    (folder / "other" / "x.bin").write_bytes(b"x")
    os.mkfifo(folder / "pipe")
    yield "folder", folder / "pipe"
    yield "folder", folder / "nowhere"
    for name, files in {"no-data": {"README.md": b"# x"}, "nothing": {"x.bin": b""}}.items():
        (folder / name).mkdir()
        for file_name, data in files.items():
            (folder / name / file_name).write_bytes(data)
        yield "dataset", folder / name


def torn_saved(root: Path) -> Iterator[str]:
    """Write folders as ``save_to_disk`` leaves them, torn; yield their names."""
    data = _arrow(_table("saved"))
    for number, end in enumerate(places(len(data), 12)[:-1]):
        folder = root / f"saved-{number:02d}"
        folder.mkdir(parents=True)
        (folder / "state.json").write_text(
            '{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]' + "}" * (number % 2)
        )
        (folder / "dataset_info.json").write_bytes(
            b'{"license": ' + (b"[" * 3000, b"7}", noise("info", 50))[number % 3]
        )
        (folder / "data-00000-of-00001.arrow").write_bytes(data[:end])
        yield folder.name


__all__ = ["ANY", "CARDS", "DROPPED", "FAMILY", "OUTSIDE", "checkouts", "dataset", "inputs", "refused", "torn_saved"]
