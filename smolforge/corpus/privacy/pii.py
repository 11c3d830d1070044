"""Personal data: found by pattern, proven by a validator, then replaced by a stable placeholder.

Input: text and language. Output: masked text and counts by kind. The placeholder is chosen by a keyed hash of what it
replaces, so the result depends on neither order nor worker. Patterns run only in windows that could match.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from smolforge.corpus.privacy.candidates import Candidates, Window
from smolforge.corpus.privacy.checks import (
    NATIONAL_ENDINGS,
    address_is_public,
    email_is_plausible,
    iban_is_valid,
    luhn_is_valid,
)
from smolforge.corpus.privacy.placeholders import is_fictional, placeholder
from smolforge.corpus.privacy.secrets import find_secrets

__all__ = ["Finding", "find", "iban_is_valid", "luhn_is_valid", "mask"]

# Boundaries are those of ASCII: Chinese is written against numbers and addresses without a space.
_LETTERS = r"[^\W\u2e80-\u9fff\uac00-\ud7af]"
_LABEL = r"[^\W_\u2e80-\u9fff\uac00-\ud7af]"  # of a domain, which may be written in its own script (IDN)
_EMAIL = re.compile(
    rf"(?<![A-Za-z0-9_.+%-])(?:{_LETTERS}|[.+%-]){{1,64}}@"
    rf"(?:{_LABEL}(?:(?:{_LABEL}|-){{0,61}}{_LABEL})?\.)+"
    rf"(?:[A-Za-z]{{2,24}}(?![A-Za-z0-9_-]|\.[A-Za-z0-9])|xn--[a-z0-9]{{2,20}}\b|(?:{NATIONAL_ENDINGS})\b)"
)
_EMAIL_REACH = 70, 260  # characters before and behind the @ that an address can take
_LONGEST = 64  # characters of any other match
_IPV4 = re.compile(r"(?<![A-Za-z0-9_.])(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9_]|\.\d)")
_IPV6 = re.compile(r"(?<![A-Za-z0-9_:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![A-Za-z0-9_:])")
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?"
    r"|[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?)(?![A-Za-z0-9])"
)
_CARD = re.compile(r"(?<![A-Za-z0-9_.-])\d(?:[ -]?\d){12,18}(?![A-Za-z0-9_-]|\.\d)")
_CARD_GROUPS = re.compile(r"(?:\d{4}([ -]?)\d{4}\1\d{4}\1\d{4}|\d{4}([ -]?)\d{6}\2\d{5})(?=[ -])")
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.,:/=#-])(?:\+|\(\+?)?\d[\d ()/.\-\u00a0]{5,22}\d(?![A-Za-z0-9_]|[.,:/-]\d)"
    r"|(?<=[^\W\d_]:)\(?\d[\d ()/.\-\u00a0]{5,22}\d(?![A-Za-z0-9_]|[.,:/-]\d)"  # "tel:030 901 820"
    r"|(?<=[:=])\+\d[\d ()/.\-\u00a0]{5,22}\d(?![A-Za-z0-9_]|[.,:/-]\d)"
)
_PHONE_BEFORE = re.compile(
    r"(?i)(?:\b(?:tel|phone|fax|mobile?|cell|call|t[eé]l[eé]f|telefon|handy|whatsapp|cellulare|telem[oó]vel|celular)"
    r"|тел|факс|моб|电话|電話|手机|手機|هاتف|جوال|موبايل)[^\d\n]{0,20}$"
)
# National numbers that say what they are by their shape alone; others need separators and a leading 0, or a word.
_NATIONAL = {
    "en": re.compile(r"\(?\d{3}\)?[-. ]\d{3}[-.]\d{4}"),
    "zh": re.compile(r"1[3-9]\d[ -]?\d{4}[ -]?\d{4}"),
    # Mobile numbers; "612 345 678" is a count as well.
    "es": re.compile(r"[67]\d\d(?: \d\d \d\d \d\d|-\d{3}-\d{3}|-\d\d-\d\d-\d\d)"),
    "it": re.compile(r"3[2-9]\d(?:[ .-]\d{3}[ .-]?\d{4}|[ /-]\d{7}| \d\d \d\d \d{3})"),
    "ru": re.compile(r"8[ -]?\(?\d{3}\)?[ -]\d{3}[ -]\d{2}[ -]\d{2}"),
}
_SEPARATOR = re.compile(r"[ ()/.\-\u00a0]")
_VERSION_BEFORE = re.compile(r"(?i)(?:\bv|version|release|ver\.|[=<>~^]=?|\bpython|\bversión|версия|版本)\s*$")
_NO_NUMBERS = ("code", "math")  # where long numbers are constants
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


@dataclass(frozen=True)
class Finding:
    """A validated span [start, end) in characters; ``value`` is its canonical form, ``shape`` what replaces it."""

    start: int
    end: int
    kind: str
    value: str
    shape: str


def _matches(pattern: re.Pattern[str], text: str, windows: Iterable[Window]) -> Iterator[re.Match[str]]:
    """Yield the matches that begin in a window; one may reach beyond it, and look-behinds see the whole text."""
    for start, end in windows:
        yield from pattern.finditer(text, start, end + _LONGEST)


def _emails(candidates: Candidates, language: str) -> Iterator[Finding]:
    text, at = candidates.text, candidates.text.find("@")
    before, behind = _EMAIL_REACH
    while at >= 0:
        match = _EMAIL.search(text, max(0, at - before), at + behind)
        while match and match.end() <= at:
            match = _EMAIL.search(text, match.end(), at + behind)
        if match and match.start() < at < match.end() and email_is_plausible(*match[0].rsplit("@", 1)):
            yield Finding(match.start(), match.end(), "email", match[0].lower(), "email")
        at = text.find("@", at + 1)


def _addresses(candidates: Candidates, language: str) -> Iterator[Finding]:
    text = candidates.text
    for match in _matches(_IPV4, text, candidates.dotted()):
        if address_is_public(match[0]) and not _looks_like_version(text, match, language):
            yield Finding(match.start(), match.end(), "ip", match[0], "ipv4")
    for match in _matches(_IPV6, text, candidates.colons()):
        groups = [group for group in match[0].split(":") if group]
        is_name = len(groups) < 3 or not any(map(str.isdigit, match[0]))  # std::beef is a C++ name
        if not is_name and address_is_public(match[0]):
            yield Finding(match.start(), match.end(), "ip", match[0].lower(), "ipv6")


def _looks_like_version(text: str, match: re.Match[str], language: str) -> bool:
    """Four small numbers are a version more often than an address; in code an address stands inside a string."""
    if _VERSION_BEFORE.search(text, max(0, match.start() - 12), match.start()):
        return True
    if all(int(part) < 20 for part in match[0].split(".")):
        return True
    return language == "code" and text[match.start() - 1 : match.start()] not in ("'", '"', "/", "@")


def _phones(candidates: Candidates, language: str) -> Iterator[Finding]:
    """Numbers with a country code, and national numbers of the language's countries."""
    if language in _NO_NUMBERS:
        return
    text = candidates.text
    for match in _matches(_PHONE, text, candidates.digits(7, 24)):
        international = match[0].startswith(("+", "(+"))
        if international or _is_national(match, language):
            full = _full_number(match[0], (None,) if international else _REGIONS.get(language, ()))
            if full and not is_fictional(full):
                yield Finding(match.start(), match.end(), "phone", full, "phone")


def _is_national(match: re.Match[str], language: str) -> bool:
    raw = match[0]
    shape = _NATIONAL.get(language)
    if (raw[0] in "0(" and len(_SEPARATOR.findall(raw)) > 1) or (shape and shape.fullmatch(raw)):
        return True
    return _PHONE_BEFORE.search(match.string, max(0, match.start() - 30), match.start()) is not None


def _full_number(raw: str, regions: Iterable[str | None]) -> str:
    """Return a valid telephone number in E.164 form, else ""."""
    import phonenumbers

    for region in regions:
        try:
            number = phonenumbers.parse(raw, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))
    return ""


def _ibans(candidates: Candidates, language: str) -> Iterator[Finding]:
    for match in _matches(_IBAN, candidates.text, candidates.digits(7, 42)):
        # What stands behind ("... 1332 BIC") can look like one more group; a country's numbers have one length.
        ends = (at for at in range(len(match[0]), 0, -1) if match[0][at : at + 1] in ("", " "))
        raw = match[0].upper()
        number = next((raw[:end] for end in ends if iban_is_valid(raw[:end])), "")
        # In lower case it may be a hash: one in 97 of those has the check digits too.
        if number and (match[0][0].isupper() or sum(map(str.isdigit, number)) * 10 >= 7 * len(number.replace(" ", ""))):
            yield Finding(match.start(), match.start() + len(number), "iban", number.replace(" ", ""), "iban")


def _cards(candidates: Candidates, language: str) -> Iterator[Finding]:
    if language in _NO_NUMBERS:
        return
    for match in _matches(_CARD, candidates.text, candidates.digits(13, 26)):
        grouped = _CARD_GROUPS.match(match[0])  # a date may follow
        number = next((each[0] for each in (match, grouped) if each and luhn_is_valid(each[0])), "")
        if number:
            yield Finding(match.start(), match.start() + len(number), "card", re.sub(r"\D", "", number), "card")


def _secrets(candidates: Candidates, language: str) -> Iterator[Finding]:
    for start, end in find_secrets(candidates.text):
        yield Finding(start, end, "secret", candidates.text[start:end], "secret")


_FINDERS: dict[str, Callable[[Candidates, str], Iterable[Finding]]] = {
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
    candidates = Candidates(text)
    taken: list[Finding] = []
    covered = bytearray()
    for kind, finder in _FINDERS.items():
        for finding in finder(candidates, language) if kind in wanted else ():
            covered = covered or bytearray(len(text))
            if not any(covered[finding.start : finding.end]):
                covered[finding.start : finding.end] = b"\1" * (finding.end - finding.start)
                taken.append(finding)
    return sorted(taken, key=lambda finding: finding.start)


def mask(text: str, language: str, kinds: Iterable[str] = tuple(_FINDERS), key: str = "") -> tuple[str, dict[str, int]]:
    """Return the text with personal data replaced, and how many of each kind.

    The same value has the same placeholder wherever it stands; ``key`` makes the choice one of this corpus.
    """
    findings = find(text, language, kinds)
    parts, position = [], 0
    for finding in findings:
        parts += [text[position : finding.start], placeholder(finding.shape, finding.value, key)]
        position = finding.end
    counts = Counter(finding.kind for finding in findings)
    return "".join(parts) + text[position:], dict(sorted(counts.items()))
