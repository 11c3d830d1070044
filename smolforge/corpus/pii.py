"""Personal data: found by pattern, proven by a validator, then replaced by a stable placeholder.

Input: text and language. Output: masked text and counts by kind. The placeholder is chosen by a hash of what it
replaces, so the result depends on neither order nor worker. Placeholders come from ranges reserved for documentation
(RFC 2606, 5737, 3849; numbers 555-01xx), so masking twice changes nothing.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from smolforge.store import digest_bytes

_EMAIL = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24}(?![\w-])"
)
_IPV4 = re.compile(r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w]|\.\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-]|\.\d)")
_PHONE = re.compile(r"(?<![\w.,:/=#-])(?:\+|\(\+?|0)[\d ()/.\-\u00a0]{7,22}\d(?![\w]|[.,:/-]\d)")
_SECRET = re.compile(
    r"-----BEGIN (?:[A-Z]+ )?PRIVATE KEY-----[\s\S]{20,}?-----END (?:[A-Z]+ )?PRIVATE KEY-----"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36,}\b|\bglpat-[\w-]{20,}|\bxox[baprs]-[\w-]{20,}"
    r"|\bsk-[A-Za-z0-9_-]{32,}|\bAIza[\w-]{35}\b|\bhf_[A-Za-z0-9]{34}\b|\bpypi-[\w-]{50,}"
    r"|\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"
)
_ASSIGNED = re.compile(
    r"(?i)\b(?:api[_-]?key|secret|token|passwd|password)[\"']?\s*[:=]\s*[\"']([^\s\"']{16,120})[\"']"
)
_SECRET_MARKS = ("PRIVATE KEY-----", "AKIA", "ASIA", "gh", "glpat-", "xox", "sk-", "AIza", "hf_", "pypi-", "eyJ")
_ASSIGNED_WORDS = ("key", "secret", "token", "passw")  # cheap tests first: the patterns are slow
_VERSION_BEFORE = re.compile(r"(?i)(?:\bv|version|release|ver\.|[=<>~^]=?|\bpython|\bversión|версия|版本)\s*$")
_TEST_DOMAINS = re.compile(
    r"(?i)(?:^|\.)(?:example(?:\.(?:com|org|net))?|test|invalid|localhost|local|domain\.(?:com|tld))$"
)
_REGIONS = {
    "en": ("US", "GB"),
    "fr": ("FR",),
    "es": ("ES", "MX"),
    "de": ("DE", "AT"),
    "it": ("IT",),
    "pt": ("BR", "PT"),
    "ar": ("EG", "SA"),
    "zh": ("CN",),
    "ru": ("RU",),
}
_FICTIONAL = "+120255501"
_NAMES = ("alex", "sam", "robin", "kim", "noor", "sasha", "lin", "andrea", "dana", "jo", "mika", "luca", "rene", "yuri")


@dataclass(frozen=True)
class Finding:
    """A validated span [start, end) in characters and the text that takes its place."""

    start: int
    end: int
    kind: str
    placeholder: str


def _hash(value: str) -> int:
    return int(digest_bytes(value.encode())[:12], 16)


def _emails(text: str, language: str) -> Iterable[Finding]:
    for match in _EMAIL.finditer(text):
        local, _, domain = match[0].rpartition("@")
        if _TEST_DOMAINS.search(domain) or local.startswith(".") or ".." in local:
            continue
        chosen = _hash(match[0].lower())
        placeholder = f"{_NAMES[chosen % len(_NAMES)]}{chosen // 16 % 1000}@example.{('com', 'org', 'net')[chosen % 3]}"
        yield Finding(match.start(), match.end(), "email", placeholder)


def _addresses(text: str, language: str) -> Iterable[Finding]:
    for match in _IPV4.finditer(text):
        if _is_public(match[0]) and not _looks_like_version(text, match, language):
            chosen = _hash(match[0])
            net = ("192.0.2", "198.51.100", "203.0.113")[chosen % 3]
            yield Finding(match.start(), match.end(), "ip", f"{net}.{1 + chosen // 3 % 254}")
    for match in _IPV6.finditer(text):
        groups = [group for group in match[0].split(":") if group]
        is_name = len(groups) < 3 or not any(map(str.isdigit, match[0]))  # std::beef is a C++ name
        if not is_name and _is_public(match[0]):
            yield Finding(match.start(), match.end(), "ip", f"2001:db8::{_hash(match[0].lower()) % 0xFFFF + 1:x}")


def _is_public(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return address.is_global and not address.is_multicast


def _looks_like_version(text: str, match: re.Match[str], language: str) -> bool:
    """Four small numbers are a version more often than an address; in code an address stands inside a string."""
    if _VERSION_BEFORE.search(text, max(0, match.start() - 12), match.start()):
        return True
    if all(int(part) < 20 for part in match[0].split(".")):
        return True
    return language == "code" and text[match.start() - 1 : match.start()] not in ("'", '"', "/", "@")


def _phones(text: str, language: str) -> Iterable[Finding]:
    """Numbers with a country code, or national numbers in the language's countries written with separators."""
    if language in ("code", "math"):
        return
    import phonenumbers

    for match in _PHONE.finditer(text):
        raw = match[0].strip()
        international = raw.startswith(("+", "(+"))
        if not international and len(re.findall(r"[ ()/.\-\u00a0]", raw)) < 2:
            continue
        for region in (None,) if international else _REGIONS.get(language, ()):
            try:
                number = phonenumbers.parse(raw, region)
            except phonenumbers.NumberParseException:
                continue
            full = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            if phonenumbers.is_valid_number(number) and not full.startswith(_FICTIONAL):
                yield Finding(match.start(), match.end(), "phone", f"+1 202-555-01{_hash(full) % 100:02d}")
                break


def iban_is_valid(text: str) -> bool:
    """Check an IBAN's length (15..34) and its ISO 7064 mod-97 check digits."""
    compact = text.replace(" ", "")
    if not 15 <= len(compact) <= 34:
        return False
    digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
    return int(digits) % 97 == 1


def luhn_is_valid(text: str) -> bool:
    """Check a card number's length (13..19), first digit (2..6) and Luhn sum (ISO/IEC 7812-1)."""
    digits = [int(character) for character in text if character.isdigit()]
    if not 13 <= len(digits) <= 19 or digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) < 2:
        return False
    doubled = [d if i % 2 == 0 else d * 2 - 9 * (d > 4) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def _ibans(text: str, language: str) -> Iterable[Finding]:
    for match in _IBAN.finditer(text):
        if iban_is_valid(match[0]):
            yield Finding(match.start(), match.end(), "iban", f"[IBAN {_hash(match[0].replace(' ', '')) % 4096:03x}]")


def _cards(text: str, language: str) -> Iterable[Finding]:
    if language in ("code", "math"):
        return
    for match in _CARD.finditer(text):
        if luhn_is_valid(match[0]):
            digits = re.sub(r"\D", "", match[0])
            yield Finding(match.start(), match.end(), "card", f"[card {_hash(digits) % 4096:03x}]")


def _entropy(text: str) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _secrets(text: str, language: str) -> Iterable[Finding]:
    for match in _SECRET.finditer(text) if any(mark in text for mark in _SECRET_MARKS) else ():
        yield Finding(match.start(), match.end(), "secret", f"[secret {_hash(match[0]) % 4096:03x}]")
    lowered = text.lower()
    for match in _ASSIGNED.finditer(text) if any(word in lowered for word in _ASSIGNED_WORDS) else ():
        value = match[1]
        random_looking = any(c.isdigit() for c in value) and any(c.isalpha() for c in value) and _entropy(value) > 3.2
        if random_looking and not re.search(r"[<>{}()$%\[\]]", value):
            yield Finding(match.start(1), match.end(1), "secret", f"[secret {_hash(value) % 4096:03x}]")


_FINDERS: dict[str, Callable[[str, str], Iterable[Finding]]] = {
    "secret": _secrets,
    "email": _emails,
    "iban": _ibans,
    "card": _cards,
    "ip": _addresses,
    "phone": _phones,
}


def find(text: str, language: str, kinds: Iterable[str] = tuple(_FINDERS)) -> list[Finding]:
    """Return validated findings in text order; where two overlap, the kind listed first in ``_FINDERS`` wins."""
    wanted = set(kinds)
    taken: list[Finding] = []
    for kind, finder in _FINDERS.items():
        if kind in wanted:
            for finding in finder(text, language):
                if all(finding.end <= other.start or finding.start >= other.end for other in taken):
                    taken.append(finding)
    return sorted(taken, key=lambda finding: finding.start)


def mask(text: str, language: str, kinds: Iterable[str] = tuple(_FINDERS)) -> tuple[str, dict[str, int]]:
    """Return the text with personal data replaced, and how many of each kind."""
    findings = find(text, language, kinds)
    parts, position = [], 0
    for finding in findings:
        parts += [text[position : finding.start], finding.placeholder]
        position = finding.end
    counts = Counter(finding.kind for finding in findings)
    return "".join(parts) + text[position:], dict(sorted(counts.items()))
