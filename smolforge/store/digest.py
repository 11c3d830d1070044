"""Digests: one hash (BLAKE2b, 16 bytes) for bytes, files and JSON values, so that an id means the same everywhere."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

DIGEST_BYTES = 16


def digest_bytes(data: bytes) -> str:
    """Return the lower-case hex BLAKE2b-128 of ``data`` (32 characters)."""
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).hexdigest()


def digest_file(path: Path) -> str:
    """Return the digest of a file's bytes, read in 1 MiB blocks."""
    state = hashlib.blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            state.update(block)
    return state.hexdigest()


def digest_json(value: Any) -> str:
    """Return the digest of a JSON value in canonical form (sorted keys, no spaces, UTF-8)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest_bytes(text.encode())
