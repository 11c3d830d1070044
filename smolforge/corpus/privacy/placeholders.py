"""Placeholders: what takes the place of personal data, the same for the same value in a whole corpus.

Input: kind, value and the corpus' key. Output: a text from ranges reserved for documentation (RFC 2606, 5737, 3849;
telephone numbers 555-01xx), so that masking twice changes nothing. Many values share a placeholder, and the choice is a
keyed hash, so it leads back to none.
"""

from __future__ import annotations

import hashlib

_NAMES = ("alex", "sam", "robin", "kim", "noor", "sasha", "lin", "andrea", "dana", "jo", "mika", "luca", "rene", "yuri")
_NETS = ("192.0.2", "198.51.100", "203.0.113")
_AREAS = (
    "202",
    "206",
    "212",
    "213",
    "303",
    "305",
    "312",
    "404",
    "415",
    "503",
    "512",
    "602",
    "617",
    "702",
    "713",
    "808",
)
_EXCHANGE = "55501"


def placeholder(kind: str, value: str, key: str = "") -> str:
    """Return the placeholder of a value in canonical form (no separators, lower case where that does not matter)."""
    digest = hashlib.blake2b(value.encode("utf-8", "replace"), digest_size=8, key=_key(key), person=kind.encode())
    chosen = int.from_bytes(digest.digest(), "big")
    if kind == "email":
        return f"{_NAMES[chosen % 14]}{chosen // 16 % 1000}@example.{('com', 'org', 'net')[chosen % 3]}"
    if kind == "ipv4":
        return f"{_NETS[chosen % 3]}.{1 + chosen // 3 % 254}"
    if kind == "ipv6":
        return f"2001:db8::{chosen % 0xFFFF + 1:x}:{chosen // 0x10000 % 0xFFFF + 1:x}"
    if kind == "phone":
        return f"+1 {_AREAS[chosen % len(_AREAS)]}-555-01{chosen // 16 % 100:02d}"
    return f"[{'IBAN' if kind == 'iban' else kind} {chosen % 65536:04x}]"


def is_fictional(number: str) -> bool:
    """True for a telephone number (E.164) of the range that placeholders are from."""
    return number.startswith("+1") and len(number) == 12 and number[5:10] == _EXCHANGE


def _key(key: str) -> bytes:
    return hashlib.blake2b(key.encode(), digest_size=32).digest() if key else b""
