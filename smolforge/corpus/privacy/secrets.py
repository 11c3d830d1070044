"""Secrets: keys and tokens by the marks that their issuers put into them, and random values that a program assigns.

Input: a text. Output: spans. The marks are searched for first; an expression is tried only where one stands.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from smolforge.corpus.privacy.candidates import occurrences
from smolforge.corpus.privacy.checks import host_is_reserved, is_web_token, looks_random

Check = Callable[[str], bool]


def _always(_: str) -> bool:
    return True


def _keyed(pattern: str, check: Check = looks_random) -> tuple[re.Pattern[str], Check]:
    return re.compile(pattern), check


# A key's lines up to its END; without one, up to the end of its run of base64 ("\\n" in JSON ends a line too).
_LINES = r"(?:(?:\s|\\n)*[A-Za-z0-9+/=]{40,20000}+)+(?:(?:\n|\\n)[A-Za-z0-9+/]{4,76}={0,2}(?=\s*(?:\n|$)))?"
_BLOCK = _keyed(
    r"-----BEGIN ((?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?)-----"
    rf"(?:(?:[^-]|-(?!----)){{20,20000}}+-----END \1-----|(?:\s*[A-Z][\w-]+: [^\n]*\n)*{_LINES})",
    _always,
)
_MARKED: dict[str, tuple[re.Pattern[str], Check]] = {
    "-----BEGIN ": _BLOCK,
    **dict.fromkeys(("AKIA", "ASIA"), _keyed(r"A[KS]IA[0-9A-Z]{16}\b", lambda value: "EXAMPLE" not in value)),
    **dict.fromkeys(("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _keyed(r"gh[pousr]_[A-Za-z0-9]{36,}\b")),
    "github_pat_": _keyed(r"github_pat_[A-Za-z0-9_]{60,}\b"),
    "glpat-": _keyed(r"glpat-[\w-]{20,}"),
    "xox": _keyed(r"xox[baprse]-[\w-]{20,}"),
    "hooks.slack.com/services/T": _keyed(r"hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/[A-Za-z0-9]{20,}"),
    "sk-": _keyed(r"sk-[A-Za-z0-9_-]{32,}"),
    **dict.fromkeys(("sk_live_", "rk_live_"), _keyed(r"[sr]k_live_[A-Za-z0-9]{20,}\b")),
    "AIza": _keyed(r"AIza[\w-]{35}(?![\w-])"),
    "ya29.": _keyed(r"ya29\.[\w-]{40,}"),
    "hf_": _keyed(r"hf_[A-Za-z0-9]{34}\b"),
    "npm_": _keyed(r"npm_[A-Za-z0-9]{36}\b"),
    "pypi-": _keyed(r"pypi-[\w-]{50,}"),
    "SG.": _keyed(r"SG\.[\w-]{20,24}\.[\w-]{39,50}"),
    "AccountKey=": _keyed(r"AccountKey=[A-Za-z0-9+/]{80,}={0,2}"),
    "eyJ": _keyed(r"eyJ[\w-]{10,2000}\.eyJ[\w-]{10,}\.[\w-]{10,}", is_web_token),
}
_UNDERLINED = tuple(mark for mark in _MARKED if "_" in mark)
_OTHERS = tuple(mark for mark in _MARKED if "_" not in mark)
_NAMES = ("key", "secret", "token", "passw")
# What may stand behind the name: a quoted value, or one up to the white space behind "NAME=".
_VALUE = re.compile(
    r"[\w-]{0,20}[\"']?(?:\s*(?:[:=]|=>)\s*[\"']([^\s\"']{16,120})[\"']|=([^\s\"'&;,]{20,120})(?=\s|$))"
)
# A short value counts where the name says plainly what it is.
_SHORT = re.compile(r"[\"']?\s*(?:[:=]|=>)\s*[\"']([^\s\"']{8,15})[\"']")
_CLEAR_NAME = re.compile(r"(?:passwor?d|secret|(?:api|access|secret|private)[_-]?key)(?![\w-])")
_PLACEHOLDER = re.compile(
    r"(?i)pass|secret|change|example|sample|dummy|test|your|user|admin|foo|bar|xxx|\*\*|\.\.|1234|abc|qwer|sha\d|base64|utf"
)
_LOGIN = re.compile(r"://[^\s/:@\"'<>]{1,64}:([^\s/@\"'<>]{3,100})@([\w.-]+)")
_LOGIN_REACH = 170  # characters before the @
_TEMPLATE = re.compile(r"[<>{}()$%\[\]]")


def find_secrets(text: str) -> Iterator[tuple[int, int]]:
    """Yield the spans of secrets; they may overlap. What a mark's pattern took is not looked through for that mark
    again, so that a text of nothing but marks costs no more than another."""
    seen: dict[str, int] = {}
    for mark, at in occurrences(text, _OTHERS + _UNDERLINED if "_" in text else _OTHERS):
        if at < seen.get(mark, 0) or text[at - 1 : at].isalnum():
            continue
        pattern, is_secret = _MARKED[mark]
        match = pattern.match(text, at)
        if match:
            seen[mark] = match.end()
            if is_secret(match[0]):
                yield match.span()
    yield from _in_addresses(text)
    lowered = text.lower()
    if len(lowered) == len(text):  # otherwise places would not be the same
        for name, at in occurrences(lowered, _NAMES):
            match = _VALUE.match(text, at + len(name))
            if match:
                group = 1 if match[1] else 2
                if looks_random(match[group]) and not _TEMPLATE.search(match[group]):
                    yield match.span(group)
            else:
                yield from _short(text, lowered, at)


def _short(text: str, lowered: str, at: int) -> Iterator[tuple[int, int]]:
    """Yield the quoted value of 8 to 15 characters behind the clear name that holds the place ``at``."""
    begin = max(at - 8, 0) if lowered.startswith("key", at) else at
    name = _CLEAR_NAME.search(lowered, begin, at + 10)
    match = _SHORT.match(text, name.end()) if name and name.end() > at else None
    if match and looks_random(match[1], 2.5) and not _TEMPLATE.search(match[1]) and not _PLACEHOLDER.search(match[1]):
        yield match.span(1)


def _in_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Yield the passwords of addresses (scheme://user:password@host) whose host is none of those for examples."""
    at = text.find("@") if "://" in text else -1
    while at >= 0:
        begin = text.rfind("://", max(0, at - _LOGIN_REACH), at)
        match = _LOGIN.match(text, begin) if begin >= 0 else None
        if match and not (_TEMPLATE.search(match[1]) or _PLACEHOLDER.search(match[1]) or host_is_reserved(match[2])):
            yield match.span(1)
        at = text.find("@", at + 1)
