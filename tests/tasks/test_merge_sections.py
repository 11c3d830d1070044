"""What sections say, put together: sourced scalars first, lists joined in the order of the text, bounds kept."""

from __future__ import annotations

from typing import Any

import pytest

from smolforge.tasks.merge_sections import Part, merge, most_sourced
from smolforge.tasks.source_spans import locate

TEXT = "Ann is 41. Bob met Ann in Oslo. Eve paid 7 and 7 in Rome."


def part(value: Any, text: str = TEXT) -> Part:
    return Part(value, locate(value, text))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["Zoe", "Ann", "Bob"], "Ann"),  # the first that stands in the text
        (["", None, "Zoe"], "Zoe"),  # else the first that says something
        ([None, None], None),
        (["", ""], ""),
        ([5, 41], 41),
        ([{"a": "Ann"}, {"a": "Bob", "b": "Oslo"}], {"a": "Ann", "b": "Oslo"}),
        ([None, {"a": "Eve"}], {"a": "Eve"}),
        ([["Eve"], ["Ann", "Bob"], ["ann"]], ["Ann", "Bob", "Eve"]),  # in the order of the text, each once
        ([["Zoe"], ["Ann"]], ["Zoe", "Ann"]),  # what stands nowhere stays where it was
        ([["Bob", "Ann", "Bob"]], ["Bob", "Ann"]),  # one section keeps its own order
        ([[7, 7]], [7, 7]),  # numbers may well be equal
        ([[{"n": "Ann"}, {"n": "Ann"}], [{"n": "Eve"}]], [{"n": "Ann"}, {"n": "Eve"}]),
    ],
)
def test_values_of_sections_are_put_together(values: list[Any], expected: Any) -> None:
    merged = merge([part({"x": value}) for value in values], {})
    assert merged.value == {"x": expected}
    again = locate(merged.value, TEXT)
    assert [(field.path, field.value) for field in merged.fields] == [(field.path, field.value) for field in again]
    for field in merged.fields:
        if field.start is not None and field.end is not None:
            assert TEXT[field.start : field.end].casefold() == str(field.value).casefold()


def test_lists_keep_to_the_length_the_schema_allows_wherever_it_says_so() -> None:
    two = {"type": "array", "maxItems": 2}
    names = {"x": ["Ann", "Bob", "Eve"]}
    for schema in (
        {"properties": {"x": two}},
        {"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": two}},
        {"properties": {"x": {"anyOf": [{"type": "null"}, two]}}},
        {"$ref": "#/$defs/o", "$defs": {"o": {"properties": {"x": two}}}},
    ):
        assert merge([part(names)], schema).value == {"x": ["Ann", "Bob"]}
    nested = {"properties": {"x": {"type": "array", "items": {"properties": {"y": two}}}}}
    assert merge([part({"x": [{"y": ["Ann", "Bob", "Eve"]}]})], nested).value == {"x": [{"y": ["Ann", "Bob"]}]}
    assert merge([part(names)], {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}).value == names


def test_the_section_that_says_most_is_the_one_with_most_sources() -> None:
    parts = [part({"a": "Zoe", "b": "Ann"}), part({"a": "Ann", "b": "Bob"}), part({"a": "Bob", "b": "Eve"})]
    assert most_sourced(parts) is parts[1]
