"""Streamed text joins to the whole text, in whole characters, up to a stop string and not one character further."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from smolforge.engine.text_stream import TextStream, TokenTable
from smolforge.errors import FormatError
from tests.tasks.small_chat import small_tokenizer

TOKENIZER = small_tokenizer()
TABLE = TokenTable(TOKENIZER)
TEXTS = st.text(alphabet=st.sampled_from('ab \n"né漢🙂👩‍🚀STOP'), max_size=40)


def ids(text: str) -> list[int]:
    return list(TOKENIZER.encode(text, add_special_tokens=False).ids)


def streamed(tokens: list[int], stops: tuple[str, ...] = ()) -> tuple[list[str], str | None]:
    stream = TextStream(TABLE, stops)
    pieces = [stream.push(token) for token in tokens]
    return [*pieces, stream.finish()], stream.stopped


@given(TEXTS)
@settings(max_examples=200, deadline=None)
def test_pieces_are_whole_characters_and_join_to_the_text(text: str) -> None:
    pieces, _ = streamed(ids(text))
    assert "".join(pieces) == text
    assert all("\ufffd" not in piece for piece in pieces)


@given(TEXTS, st.lists(st.text(alphabet="abSTOP\n é", min_size=1, max_size=6), min_size=1, max_size=3))
@settings(max_examples=300, deadline=None)
def test_text_ends_before_the_first_stop_string_wherever_tokens_are_cut(text: str, stops: list[str]) -> None:
    cuts = [at for stop in stops if (at := text.find(stop)) >= 0]
    pieces, stopped = streamed(ids(text), tuple(stops))
    shown = "".join(pieces)
    if not cuts:
        assert (shown, stopped) == (text, None)
        return
    assert stopped in stops
    assert text.startswith(shown + stopped)
    assert not any(stop in shown for stop in stops)


def test_text_that_may_become_a_stop_string_waits() -> None:
    stream = TextStream(TABLE, ("STOP!",))
    pieces = [stream.push(token) for character in "a STO b STOP!c" for token in ids(character)]
    assert "".join(pieces[:5]) == "a "
    assert "".join(pieces[:6]) == "a STO "
    assert ("".join(pieces), stream.stopped, stream.finish()) == ("a STO b ", "STOP!", "")


def test_a_half_stop_string_is_shown_at_the_end() -> None:
    pieces, stopped = streamed(ids("x ST"), ("STOP",))
    assert (pieces[-1], "".join(pieces), stopped) == ("ST", "x ST", None)


def test_bytes_that_are_no_character_become_replacement_characters_once_they_are_final() -> None:
    lead, rest = TOKENIZER.encode("é", add_special_tokens=False).ids[:2]
    assert TABLE.bytes([lead, rest]) == "é".encode()
    stream = TextStream(TABLE)
    assert [stream.push(lead), stream.push(rest)] == ["", "é"]
    assert [stream.push(lead), stream.push(lead)] == ["", "\ufffd"]
    assert stream.finish() == "\ufffd"


def test_special_tokens_are_not_shown_unless_asked_for() -> None:
    end = TOKENIZER.token_to_id("<|im_end|>")
    call = TOKENIZER.token_to_id("<tool_call>")
    assert TABLE.text([*ids("a"), end, call, *ids("b")]) == "ab"
    assert TokenTable(TOKENIZER, shown=[call]).text([*ids("a"), end, call]) == "a<tool_call>"


def test_ids_beyond_the_tokenizer_are_empty() -> None:
    table = TokenTable(TOKENIZER, TABLE.size + 8)
    assert table.piece(TABLE.size + 3) == b""


def test_another_kind_of_tokenizer_is_refused() -> None:
    other = Tokenizer(models.BPE())
    other.decoder = decoders.Metaspace()
    with pytest.raises(FormatError, match="byte-level"):
        TokenTable(other)


def test_a_token_that_is_not_spelled_in_bytes_reads_as_the_library_decodes_it() -> None:
    odd = ["Ġa", "▁a", "漢", "a\xa0b", "a b", "é"]
    other = Tokenizer(models.BPE({text: i for i, text in enumerate(odd)}, []))
    other.decoder = decoders.ByteLevel()
    table = TokenTable(other)
    for token in range(len(odd)):
        assert table.text([token]) == other.decode([token])


def test_a_text_is_cut_the_same_the_first_and_every_other_time() -> None:
    for words in ('"light":"', "ü", "x" * 600, ""):
        expected = ids(words)
        assert [TABLE.cut(words.encode()) for _ in range(2)] == [expected, expected]
    assert TABLE.cut("ü".encode()[:1]) == []
