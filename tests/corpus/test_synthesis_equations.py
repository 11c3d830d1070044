"""Sums are recomputed, final answers follow from the working, and samples vote by what they mean."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smolforge.corpus.synthesize.checks import CHECKS, examine
from smolforge.corpus.synthesize.checks.meta_talk import find_meta_talk
from smolforge.corpus.synthesize.equations import equations, number_in
from smolforge.corpus.synthesize.format import load_format
from smolforge.corpus.synthesize.limits import Limits
from smolforge.corpus.synthesize.voting import majority, normalised, thoughts_and_answer
from tests.corpus.synthesis_candidates import candidate


@pytest.mark.parametrize(
    "text",
    [
        "3 + 4 = 7", "so the total is 3 × 4 + 1 = 13.", "12 apples − 5 apples = 7 apples", "20% of 50 = 10",
        "10 / 3 = 3.33", "10 / 3 ≈ 3.3", "(2 + 3) * 4 = 20 and 20 / 5 = 4", "2 x 6 = 12", "1,250 + 750 = 2,000",
        "1.250 + 750 = 2.000", "3,5 × 2 = 7", r"\frac{1}{2} \times 8 = 4", r"\( 2 \cdot 3 = 6 \)", "٣ + ٤ = ٧",
        "3 / 4 × 100 = 75%", "3 / 4 = 75%", "$5.50 × 3 = $16.50", "2^10 = 1024", "2**3 = 8", "- 3 + 4 = 7",
        "1. 3 + 4 = 7", "**3 + 4 = 7**", "3 + 4 = **7**", "1 500 + 500 = 2 000", "-3 + 5 = 2",
        "5 kg + 2 kg = 7 kg", "the rest is (1 + 2) × 3 = 9 books",
    ],
)  # fmt: skip
def test_equations_that_hold_are_recomputed_and_pass(text: str) -> None:
    count, wrong = equations(text)
    assert not wrong
    assert count >= 1


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("12 * 3 = 35", "36"), ("so 20% of 50 = 12", "10"), ("10 / 3 = 3.34", "3.33333"), ("100 + 899 = 1000", "999"),
        (r"\frac{1}{2} \times 8 = 5", "4"), ("3 apples + 4 apples = 8 apples", "7"), ("2 + 2 = 4 = 5 - 2", "4"),
        ("5 / 0 = 0", "divides by zero"), ("٣ + ٤ = ٨", "7"), ("10 / 3 ≈ 4", "3.33333"), ("- 3 + 4 = 1", "7"),
        ("**2 × 2 = 5**", "4"), ("7 × 8 = 54 metres", "56"),
        ("3 × 4 = 12 + 1 = 13", "12"),
    ],
)  # fmt: skip
def test_wrong_equations_are_quoted_with_what_is_right(text: str, right: str) -> None:
    _, wrong = equations(text)
    assert len(wrong) == 1
    assert right in wrong[0]


@pytest.mark.parametrize(
    "text",
    [
        "2x + 3 = 13", "y - 3 = 2 + 1", "f(2) = 3 + 4", "1 hour = 60 minutes", "1 m + 50 cm = 150 cm", "x = 5",
        "10 / 4 = 2 remainder 2", "10 / 4 = 2 R 2", "25 % 4 = 1", "if a == 3 + 4: pass", "range(1, 10) = 9 - 1",
        "100 - 20% = 80", "E = m c^2", "2(3) = 6 + 1", "9^9^9^9 = 1 + 1", "1.2.3 + 4 = 5", "=" * 500,
        "(" * 5000 + "1 + 1 = 3",
        "9" * 5000 + " + 1 = 3", "version = 3.11 - 2", "one + two = 4",
    ],
)  # fmt: skip
def test_what_is_not_plainly_arithmetic_is_passed_over(text: str) -> None:
    assert equations(text) == (0, [])


@settings(deadline=None)
@given(st.integers(-999, 9999), st.sampled_from("+-*"), st.integers(0, 999), st.integers(-3, 3))
def test_a_sum_is_wrong_exactly_if_it_is_off(a: int, sign: str, b: int, off: int) -> None:
    right = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert (equations(f"Here {a} {sign} {b} = {right + off}")[1] == []) == (off == 0)


@settings(deadline=None)
@given(st.text(max_size=200))
def test_no_text_breaks_the_reader_of_equations(text: str) -> None:
    equations(text)
    number_in(text)
    thoughts_and_answer(text)
    find_meta_talk(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [("Answer: 42", 42), ("$1,250.50", 1250.5), ("about −7 degrees", -7), ("3,5 kg", 3.5), ("no number", None)],
)
def test_the_last_number_of_a_text_is_found(text: str, number: float | None) -> None:
    assert number_in(text) == number


def test_the_answer_must_be_what_the_working_comes_to() -> None:
    good = "Each row has 4 seats.\n3 × 4 = 12\nAnswer: 12 seats"
    limits = load_format("maths").limits
    for solution, check in (
        (good, None),
        (good.replace("Answer: 12", "Answer: 13"), "final_answer"),
        (good.replace("= 12", "= 13"), "arithmetic"),
        ("There are twelve seats in all of it.\nAnswer: 12", "arithmetic"),
        ("3 × 4 = 12, so there are twelve seats.", "final_answer"),
    ):
        asked = candidate(f"How many seats have 3 rows of 4?\n\n{solution}", solution=solution, votes=(3, 5))
        evidence, _ = examine(asked, ("arithmetic", "final_answer"), limits)
        assert next(iter(evidence), None) == check


def test_samples_vote_by_what_they_mean() -> None:
    assert normalised("$1,200.00") == normalised("1200") == normalised(" 1200 ")
    assert normalised("The Lighthouse.") == normalised("the lighthouse")
    assert normalised([{"b": 1, "a": "X"}]) == normalised([{"a": "x", "b": 1}])
    assert majority(["7", "8", None, "7.0", ""]) == (0, 2)
    assert majority(["a", "b"]) == (0, 1)
    assert majority([None, ""]) == (-1, 0)
    assert thoughts_and_answer("3 + 4 = 7\n**Answer:** 7")[1] == "7"
    assert thoughts_and_answer("Je compte.\nRéponse : 7") == ("Je compte.", "7")
    assert thoughts_and_answer("no end") == ("no end", "")


def test_a_minority_and_an_empty_vote_are_rejected() -> None:
    check, limits = CHECKS["self_consistency"], Limits()
    assert check(candidate("", votes=(3, 5)), limits).fault is None
    assert "2 of 4 samples" in str(check(candidate("", votes=(2, 4)), limits).fault)
    assert "none of 5" in str(check(candidate("", votes=(0, 5)), limits).fault)
    assert check(candidate("", votes=(1, 1)), limits).fault is None
