"""Features of a document, computed once: counts and ratios that the rules compare with limits.

Input: texts and their languages. Output: one float32 column a feature, from the native kernel. Definitions: Gopher
(arXiv 2112.11446, table A1), C4 (arXiv 1910.10683, section 2.2), FineWeb (arXiv 2406.17557, section 3), The Stack for
code (arXiv 2211.15533, 2402.19173). Words are those of ``words.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smolforge.corpus.text import kernel

# In the order of ``native/text/features.h``. Shares and ratios are 0 where what they are taken of is none.
MEANING = {
    "words": "words",
    "mean_word_length": "characters a word",
    "hash_ratio": "number signs a word",
    "ellipsis_ratio": "ellipses (... or one character) a word",
    "bullet_lines": "share of lines that begin with a bullet or hyphen",
    "ellipsis_lines": "share of lines that end with an ellipsis",
    "alphabetic_words": "share of words with a letter",
    "stop_words": "different function words of the language",
    "duplicate_lines": "share of lines that repeat an earlier one",
    "duplicate_line_characters": "share of the lines' characters in those",
    "duplicate_paragraphs": "share of paragraphs that repeat an earlier one",
    "duplicate_paragraph_characters": "share of the paragraphs' characters in those",
    **{f"top_{n}_gram": f"share of the words' characters in the most frequent {n}-gram" for n in (2, 3, 4)},
    **{f"duplicate_{n}_grams": f"share of the words' characters in repeated {n}-grams" for n in (5, 6, 7, 8, 9, 10)},
    "terminal_lines": "share of lines that end with a closing mark",
    "short_lines": "share of lines of at most 30 characters",
    "newline_ratio": "line feeds a word",
    "longest_word": "characters of the longest word",
    "upper_case_lines": "share of lines in capitals",
    "policy_phrases": "different site-policy phrases of the language",
    "placeholder_text": "1 for a text with filler words (lorem ipsum)",
    "longest_line": "characters of the longest line",
    "mean_line_length": "characters a line",
    "alphanumeric": "share of characters that are letters or digits",
    "null_characters": "NUL characters",
    "lines": "lines that are not empty",
    "alphabetic": "share of characters that are letters",
    "white_space": "share of characters that are white space",
    "encoded_data": "share of characters in runs of 64 and more base64 or hexadecimal digits, or 16 escaped bytes",
    "encoded_run": "characters of the longest such run",
    "generated_marks": "different phrases of a code generator among the first 1,000 characters",
    "latex_commands": "LaTeX commands of two letters and more (\\frac) a word",
    "math_delimiters": "formulas opened a word: \\( \\[ \\begin{ and pairs of dollar signs that open no amount",
    "math_symbols": "share of characters that are mathematical: signs beyond ASCII, Greek letters, small figures",
    "mathml": "MathML tags a word",
}
FEATURES = tuple(MEANING)


def features_of(texts: Sequence[str], languages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """Return every feature of ``FEATURES`` as float32 (len(texts),); ``languages[i]`` chooses splitter and lists."""
    return _columns(kernel.buffer_of(texts), languages)


def features_of_column(column: Any, languages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """As ``features_of`` for an Arrow string array or chunked array, straight from its buffer."""
    return _columns(kernel.buffer_of_column(column), languages)


def features(text: str, language: str) -> dict[str, float]:
    """Return the features of one text."""
    return {name: float(column[0]) for name, column in features_of([text], [language]).items()}


def _columns(buffer: kernel.Buffer, languages: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    table = np.ascontiguousarray(kernel.measure(buffer, languages).T)
    return dict(zip(FEATURES, table, strict=True))
