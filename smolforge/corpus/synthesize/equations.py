"""Arithmetic recomputed: the equations a text states, each side evaluated in exact fractions, nothing executed.

Input: text with chains such as ``3 × 4 + 1 = 13``, ``20% of 50 = 10``, ``\\frac{1}{2} \\times 8 = 4``, ``5 kg + 2 kg
= 7 kg``. Output: how many equations could be recomputed, and the wrong ones. What is not plainly arithmetic (a
variable, a conversion, mixed units in a sum) is passed over, never guessed at.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_LATEX = (
    (re.compile(r"\\(?:times|cdot|ast)\b"), "×"), (re.compile(r"\\div\b"), "÷"), (re.compile(r"\\approx\b"), "≈"),
    (re.compile(r"\\[dt]?frac\s*\{([^{}]{1,80})\}\s*\{([^{}]{1,80})\}"), r"((\1)/(\2))"),
    (re.compile(r"\\(?:text|mathrm|mathbf|boxed)\s*\{([^{}]{0,80})\}"), r" \1 "),
    (re.compile(r"\\(?:left|right|quad|,|;|!|\(|\)|\[|\])"), " "), (re.compile(r"\\([$%])"), r"\1"),
)  # fmt: skip
_SIGNS = str.maketrans(
    {
        **dict(zip("×·⋅∙÷−–＋－＝％（）٪٫٬", "****/--+-=%()%.,", strict=True)),
        **dict.fromkeys("\u00a0\u202f\u2009$€£¥₽`", " "),
    }
)
_MARKER = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+")  # of a list's item: '- 3 + 4 = 7' does not begin with a minus
_TOKEN = re.compile(
    r"(?P<number>\d{1,3}(?:[ ']\d{3})+(?!\d)|\d+(?:[.,]\d+)*)"
    r"|(?P<sign>\*\*|[-+*/^()%=≈])|(?P<word>[^\W\d_]+)|(?P<other>\S)"
)
_TIMES = frozenset("xXхХ×")
_OF = frozenset({"of", "de", "von", "di", "от", "من"})  # behind a percentage
_LINKING = frozenset({"and", "so", "then", "or", "et", "und", "e", "y", "и", "also", "donc", "alors", "dann", "luego"})
_LETTER_UNITS = frozenset({"g", "m", "h", "l", "L", "t", "s", "km", "г", "м", "л", "ч", "т"})
MAX_DIGITS, MAX_EXPONENT, MAX_DEPTH = 40, 64, 20
_REMAINDER = frozenset("rR")  # '10 / 4 = 2 R 2'
_CLOSE = Fraction(1, 100)  # what ≈ allows


class _NotArithmetic(Exception):
    """The side is something else, or too large to evaluate."""


@dataclass(frozen=True)
class Token:
    """``kind``: number, sign, word or other. ``glued``: no space stands before it."""

    kind: str
    text: str
    glued: bool


@dataclass(frozen=True)
class Value:
    """A side's value. ``decimals``: digits behind the point where the side is one number, else None."""

    value: Fraction
    decimals: int | None
    percent: bool
    computed: bool


def equations(text: str) -> tuple[int, list[str]]:
    """Return (how many equations were recomputed, the wrong ones with what their left side is)."""
    count, wrong = 0, []
    for line in _plain(text).splitlines():
        for chain in _chains(_MARKER.sub("", line)):
            for left, right, sign in zip(chain[::2], chain[2::2], chain[1::2], strict=False):
                verdict = _judge(left, right, sign[0].text)
                if verdict is not None:
                    count += 1
                    if verdict:
                        wrong.append(verdict)
    return count, wrong


def number_in(text: str) -> Fraction | None:
    """Return the last number that stands in a text, or None; decimal point and thousands as far as they are plain."""
    found = [token for token in _tokens(_plain(text)) if token.kind == "number"]
    if not found:
        return None
    try:
        value, _ = _number(found[-1].text, decimal_comma="," in found[-1].text and "." not in found[-1].text)
    except _NotArithmetic:
        return None
    negative = re.search(rf"(?:^|[\s:=(])-\s?\$?{re.escape(found[-1].text)}\b", _plain(text)) is not None
    return -value if negative else value


def _plain(text: str) -> str:
    for pattern, replacement in _LATEX:
        text = pattern.sub(replacement, text)
    digits = "".join(str(unicodedata.digit(c)) if c.isdigit() and not c.isascii() else c for c in text)
    return digits.translate(_SIGNS)


def _tokens(line: str) -> list[Token]:
    found: list[Token] = []
    last = 0
    for match in _TOKEN.finditer(line):
        kind = str(match.lastgroup)
        text = match[0]
        follows = line[match.end() :].lstrip()[:1]
        between = found[-1:] and found[-1].kind in ("number", "sign") and (follows.isdigit() or follows == "(")
        if text == "**" and not (between and found[-1].text not in "=*+-/"):  # bold, not a power
            continue
        if text == "**":
            kind, text = "sign", "^"
        elif kind == "word" and text in _TIMES and between and found[-1].kind == "number":
            kind, text = "sign", "*"
        found.append(Token(kind, text, match.start() == last and last > 0))
        last = match.end()
    return found


def _chains(line: str) -> Iterator[list[list[Token]]]:
    """Yield [side, sign, side, sign, side...] for each run of equations in a line."""
    run: list[list[Token]] = [[]]
    for token in [*_tokens(line), Token("other", ".", True)]:
        if token.kind == "other":
            if len(run) > 1:
                yield run
            run = [[]]
        elif token.text in "=≈" and token.kind == "sign":
            run += [[token], []]
        else:
            run[-1].append(token)


def _judge(left: list[Token], right: list[Token], sign: str) -> str | None:
    """Return None where there is nothing to recompute, "" where the equation holds, else what is wrong with it."""
    problem = None
    for decimal_comma in (False, True):
        try:
            a, b = _side(left, decimal_comma, first=True), _side(right, decimal_comma, first=False)
        except _NotArithmetic:
            continue
        except ZeroDivisionError:
            return f"'{_written(left)} {sign} {_written(right)}' divides by zero"
        if not (a.computed or b.computed):
            continue
        if _agree(a, b, sign):
            return ""
        problem = problem or f"'{_written(left)} {sign} {_written(right)}', but it is {_shown(a.value)}"
    return problem


def _agree(a: Value, b: Value, sign: str) -> bool:
    for one in _meanings(a):
        for other in _meanings(b):
            difference = abs(one - other)
            rounding = Fraction(1, 2 * 10**b.decimals) if b.decimals else Fraction(0)
            if a.decimals:
                rounding = max(rounding, Fraction(1, 2 * 10**a.decimals))
            slack = max(rounding, _CLOSE * abs(one)) if sign == "≈" else rounding
            if difference <= (slack / 100 if b.percent and other != b.value else slack):
                return True
    return False


def _meanings(side: Value) -> list[Fraction]:
    """A percentage alone is also taken as its number: '3 / 4 × 100 = 75%'."""
    return [side.value, side.value * 100] if side.percent else [side.value]


def _written(side: list[Token]) -> str:
    return " ".join(token.text for token in side)


def _shown(value: Fraction) -> str:
    return str(value) if value.denominator == 1 else f"{float(value):.6g}"


def _side(tokens: list[Token], decimal_comma: bool, first: bool) -> Value:
    """Evaluate one side. Words before the first side's expression, or behind the last number, are text and units."""
    if first:  # "so the total is 3 + 4": the expression begins behind the last word before a number and its signs
        tokens = _behind_text(tokens)
    reader = _Reader(_without_units(tokens), decimal_comma)
    value = reader.sum(0)
    if not first:
        reader.rest_is_text()
    elif reader.left:
        raise _NotArithmetic
    return Value(value, reader.decimals, reader.percent, reader.computed)


def _behind_text(tokens: list[Token]) -> list[Token]:
    """Return what stands behind the last word that is no unit; _NotArithmetic where that word is a variable's name."""
    start = max((i + 1 for i, t in enumerate(tokens) if t.kind == "word" and not _is_unit(tokens, i)), default=0)
    rest = tokens[start:]
    if start and rest and rest[0].kind == "sign":  # 'y - 3', 'f(2)'; but 'is -3 + 5', 'is (1 + 2)'
        opens = rest[0].text == "(" and not rest[0].glued
        negative = rest[0].text == "-" and not rest[0].glued and len(rest) > 1 and rest[1].glued
        if not opens and not negative:
            raise _NotArithmetic
    return rest


def _is_unit(tokens: list[Token], i: int) -> bool:
    """Whether a word is the unit of the number before it: 'apples' in '3 apples', 'of' in '20% of 50'."""
    before = tokens[i - 1] if i else None
    if before is None:
        return False
    if before.text == "%" and tokens[i].text.casefold() in _OF:
        return True
    if (before.kind == "number" or before.text == ")") and tokens[i].text.casefold() not in _LINKING:
        return len(tokens[i].text) > 1 or (tokens[i].text in _LETTER_UNITS and not tokens[i].glued)
    return False


def _without_units(tokens: list[Token]) -> list[Token]:
    """Leave units out; 'of' behind a percentage becomes a product. Different units in a sum are no arithmetic."""
    kept: list[Token] = []
    units: set[str] = set()
    for i, token in enumerate(tokens):
        if token.kind == "word" and _is_unit(tokens, i):
            if tokens[i - 1].text == "%":
                kept.append(Token("sign", "*", False))
            else:
                units.add(token.text.casefold()[:4].rstrip("s"))
        else:
            kept.append(token)
    sums = any(token.text in "+-" and token.kind == "sign" for token in kept)
    if sums and len(units) > 1:
        raise _NotArithmetic
    return kept


class _Reader:
    """Recursive descent over tokens: sums of products of powers of signed numbers and parentheses."""

    def __init__(self, tokens: list[Token], decimal_comma: bool) -> None:
        self.left, self._comma = tokens, decimal_comma
        self.decimals: int | None = None
        self.percent = self.computed = False
        if not tokens:
            raise _NotArithmetic

    def _next(self, signs: str) -> str | None:
        if self.left and self.left[0].kind == "sign" and self.left[0].text in signs:
            return self.left.pop(0).text
        return None

    def sum(self, depth: int) -> Fraction:
        value = self._product(depth)
        while sign := self._next("+-"):
            self._compute()
            right = self._product(depth)
            if self.percent and right < 1:  # '100 - 20%' means two things
                raise _NotArithmetic
            value = value + right if sign == "+" else value - right
        return _bounded(value)

    def _product(self, depth: int) -> Fraction:
        value = self._power(depth)
        while sign := self._next("*/"):
            self._compute()
            right = self._power(depth)
            value = value * right if sign == "*" else value / right
        return _bounded(value)

    def _power(self, depth: int) -> Fraction:
        base = self._signed(depth)
        if self._next("^") is None:
            return base
        self._compute()
        exponent = self._signed(depth)
        if exponent.denominator != 1 or abs(exponent) > MAX_EXPONENT:
            raise _NotArithmetic
        return _bounded(base ** int(exponent))

    def _signed(self, depth: int) -> Fraction:
        if depth > MAX_DEPTH:
            raise _NotArithmetic
        if self._next("-"):
            return -self._signed(depth + 1)
        if self._next("("):
            value = self.sum(depth + 1)
            if self._next(")") is None:
                raise _NotArithmetic
            self.decimals = None
        elif self.left and self.left[0].kind == "number":
            value, decimals = _number(self.left.pop(0).text, self._comma)
            self.decimals = None if self.computed else decimals
        else:
            raise _NotArithmetic
        if self._next("%"):
            self.percent = True
            self.decimals = None if self.decimals is None else self.decimals + 2
            value /= 100
        if self.left and (
            self.left[0].kind == "number"
            or self.left[0].text == "("
            or (self.left[0].kind == "word" and self.left[0].glued)
        ):
            raise _NotArithmetic  # '2(3)' or '2x': a product without its sign
        return value

    def _compute(self) -> None:
        self.computed, self.decimals = True, None

    def rest_is_text(self) -> None:
        """Only words may follow, and what they lead to: 'so 3 + 4 = 7 apples are left'."""
        if self.left and (self.left[0].kind != "word" or self.left[0].text in _REMAINDER):
            raise _NotArithmetic


def _bounded(value: Fraction) -> Fraction:
    if max(abs(value.numerator), value.denominator) > 10 ** (4 * MAX_DIGITS):
        raise _NotArithmetic
    return value


def _number(text: str, decimal_comma: bool) -> tuple[Fraction, int]:
    """Return (value, digits behind the point)."""
    text = text.replace(" ", "").replace("'", "")
    point, group = (",", ".") if decimal_comma else (".", ",")
    whole, _, decimals = text.partition(point)
    groups = whole.split(group)
    if len(text) > MAX_DIGITS or group in decimals or point in decimals:
        raise _NotArithmetic
    if len(groups) > 1 and (len(groups[0]) > 3 or any(len(part) != 3 for part in groups[1:])):
        raise _NotArithmetic
    return Fraction(f"{''.join(groups)}.{decimals}" if decimals else "".join(groups)), len(decimals)
