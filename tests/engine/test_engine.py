"""The engine on a tiny random model: one answer per question whatever else goes on, and every way of asking works."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smolforge import Engine
from smolforge.engine import _native
from smolforge.engine.admission import Limits
from smolforge.engine.asking import Asking
from smolforge.engine.scheduler import Closed
from smolforge.errors import ConfigError, DataError, FormatError
from smolforge.generator import Event, Finished, Request, Sampling, TextDelta, Thinking
from tests.engine.small_model import PATIENCE, Writing
from tests.engine.test_chat_template import codec
from tests.engine.tiny_model import write_tiny_model

GREEDY = Sampling()
TEXTS = ["turn on", "the kitchen light in the hall please " * 12, "system user", "a", "/think " * 70]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def opened(folder: Path, **options: object) -> Engine:
    settings = {"cache": False, "kv_bytes": 64 << 20, "threads": 2, **options}
    return Engine.open(folder, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    with opened(folder) as made:
        yield made


def requests(engine: Engine, **changes: object) -> list[Request]:
    made = [Request(engine.model.encode(text), 24, stop=frozenset()) for text in TEXTS]
    return [replace(request, **changes) for request in made]  # type: ignore[arg-type]


def test_greedy_tokens_do_not_depend_on_company_threads_chunks_cache_or_drafts(folder: Path, engine: Engine) -> None:
    expected = [engine.generate([request])[0].tokens for request in requests(engine)]
    assert len({tuple(tokens) for tokens in expected}) == len(TEXTS)
    assert [done.tokens for done in engine.generate(requests(engine))] == expected
    assert [done.tokens for done in engine.generate(requests(engine, speculate=False))] == expected
    for options in ({"threads": 1}, {"limits": Limits(chunk=40)}, {"limits": Limits(running=2, prefix_bytes=1 << 18)}):
        with opened(folder, **options) as other:
            for _ in range(2):
                assert [done.tokens for done in other.generate(requests(other))] == expected


@pytest.mark.parametrize("kv", ["f16", "bf16", "q8", "q4"])
def test_a_cached_prefix_changes_no_bit_of_the_scores(folder: Path, kv: str) -> None:
    with opened(folder, kv=kv) as made:
        prompt, end = made.model.encode(TEXTS[1]), made.model.encode(" please hall")
        first = made.score_tokens([prompt], [end])[0]
        made.generate([Request(prompt, 5, stop=frozenset())])
        again = made.score_tokens([prompt], [end])[0]
        together = made.score_tokens(prompt, [end, end[:2], made.model.encode("x")])
        assert (first == again).all() and (first == together[0]).all() and (first[:2] == together[1]).all()


def test_sampled_answers_depend_on_the_seed_alone(engine: Engine) -> None:
    warm = Sampling(temperature=1.0, seed=3)
    one = [engine.generate([request])[0].tokens for request in requests(engine, sampling=warm)]
    assert [done.tokens for done in engine.generate(requests(engine, sampling=warm))] == one
    other = engine.generate(requests(engine, sampling=replace(warm, seed=4)))
    assert [done.tokens for done in other] != one


def test_scores_are_those_of_the_native_model(engine: Engine) -> None:
    prompt, end = engine.model.encode(TEXTS[1]), engine.model.encode("the hall")
    known = np.asarray([*prompt, *end], np.int32)
    pages = _native.Pages(engine.model.native, 8, "f16")
    rows = engine.model.native.forward(
        pages, known, np.array([0], np.int32), np.array([len(known)], np.int32),
        np.arange(8, dtype=np.int32)[None], np.arange(len(prompt) - 1, len(known) - 1, dtype=np.int32),
    )  # fmt: skip
    exact = rows.astype(np.float64)
    expected = exact[np.arange(len(end)), end] - np.log(np.exp(exact).sum(axis=1))
    np.testing.assert_allclose(engine.score_tokens([prompt], [end])[0], expected, atol=1e-5)
    assert engine.score([prompt], [end])[0] == pytest.approx(expected.sum(), abs=1e-5)


def test_scoring_reads_a_shared_prompt_once_and_takes_text(engine: Engine) -> None:
    before = engine.status().steps
    texts = engine.score("where is the light? in the", [" hall", " kitchen", "", " hall"])
    assert texts[0] == texts[3] and texts[2] == 0.0 and texts[0] != texts[1]
    assert engine.status().steps - before <= 4


def test_chat_stream_batch_and_event_loop_give_the_same_answer(engine: Engine) -> None:
    answer = engine.chat("turn on the light", max_tokens=12, sampling=GREEDY)
    stream = engine.stream("turn on the light", max_tokens=12, sampling=GREEDY)
    assert "".join(stream.text()) == answer.text
    assert stream.answer().tokens == answer.tokens
    rows = [{"role": "user", "content": "turn on the light"}]
    batch = engine.batch([rows, "please"], max_tokens=12, sampling=GREEDY)
    assert batch[0].tokens == answer.tokens != batch[1].tokens

    async def read() -> tuple[str, str]:
        first = engine.stream("turn on the light", max_tokens=12, sampling=GREEDY)
        text = "".join([event.text async for event in first if isinstance(event, TextDelta)])
        second = await engine.stream("turn on the light", max_tokens=12, sampling=GREEDY).wait()
        return text, second.text

    assert asyncio.run(read()) == (answer.text, answer.text)


def test_usage_and_times_say_what_was_cached_and_made(engine: Engine) -> None:
    question = "please turn on the kitchen light " * 10
    engine.chat(question, max_tokens=3)
    stream = engine.stream(question, max_tokens=3)
    last = list(stream)[-1]
    assert isinstance(last, Finished)
    assert last.usage.prompt_tokens - 1 == last.usage.cached_tokens > 64
    answer = stream.answer()
    assert answer.usage.completion_tokens == len(answer.tokens) <= 3
    assert answer.timings.prompt > 0 and answer.timings.waited >= 0


def test_the_next_turn_of_a_chat_is_read_from_where_the_last_one_ended(engine: Engine) -> None:
    talk = [{"role": "user", "content": "light " * 40}]
    answer = engine.chat(talk, max_tokens=80, sampling=GREEDY)
    known = len(engine.codec.prompt(talk, "no_think")) + len(answer.tokens)
    talk += [{"role": "assistant", "content": answer.text}, {"role": "user", "content": "hall"}]
    turn = engine.chat(talk, max_tokens=2, sampling=GREEDY)
    assert turn.usage.cached_tokens > known * 0.4


def test_thinking_comes_as_reasoning_and_ends_with_its_budget(engine: Engine) -> None:
    answer = engine.chat("light", think=True, thinking_budget=6, max_tokens=30, sampling=GREEDY, logprobs=2)
    assert answer.usage.reasoning_tokens <= 6
    assert len(answer.logprobs) == len(answer.tokens)


def test_embeddings_have_length_one_and_do_not_depend_on_company(engine: Engine) -> None:
    together = engine.embed(TEXTS)
    assert together.shape == (len(TEXTS), 64) and together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert (engine.embed(TEXTS[1:2])[0] == together[1]).all()
    assert engine.embed([]).shape == (0, 64)


def test_embedding_scoring_and_generating_go_on_at_the_same_time(engine: Engine) -> None:
    stream = engine.submit(Request(engine.model.encode(TEXTS[0]), 200, stop=frozenset()))
    vectors, scores = engine.embed(TEXTS[:2]), engine.score(TEXTS[1], [" a", " b"])
    assert len(vectors) == len(scores) == 2 and len(stream.answer().tokens) == 200


def test_saved_prefixes_answer_after_a_restart_and_only_for_the_same_model(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "prefixes.safetensors"
    with opened(folder) as made:
        expected = made.chat(TEXTS[1], max_tokens=8, sampling=GREEDY)
        assert made.save_prefixes(path) >= 2
    with opened(folder, prefixes=path) as made:
        answer = made.chat(TEXTS[1], max_tokens=8, sampling=GREEDY)
        assert answer.tokens == expected.tokens and answer.usage.cached_tokens == answer.usage.prompt_tokens - 1
    with opened(folder, kv="q8") as made, pytest.raises(FormatError, match="another key-value type"):
        made.load_prefixes(path)
    other = write_tiny_model(tmp_path / "other", seed=1)
    with opened(other) as made, pytest.raises(FormatError, match="another model"):
        made.load_prefixes(path)


def test_warming_makes_the_first_answer_start_from_the_cache(engine: Engine) -> None:
    text = "hall and kitchen " * 20
    assert engine.warm(text) < 8
    assert engine.warm(text) == len(engine.model.encode(text))


def test_what_cannot_be_asked_is_refused_in_one_line(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="unknown option 'max_token' \\(did you mean 'max_tokens'\\?\\)"):
        engine.chat("hall", max_token=3)  # type: ignore[call-arg]
    with pytest.raises(DataError, match="there are 512 positions"):
        engine.chat("hall " * 600)
    with pytest.raises(ConfigError, match="two forms"):
        engine.chat("hall", regex="a+", choices=["a"])
    with pytest.raises(ConfigError, match="belongs to a chat"):
        engine.generate("hall", think=True)


def test_a_long_list_of_requests_waits_for_room(folder: Path) -> None:
    with opened(folder, limits=Limits(running=2, waiting=3)) as made:
        prompts = [made.model.encode(f"light {i}") for i in range(20)]
        done = made.generate([Request(prompt, 3, stop=frozenset()) for prompt in prompts])
        assert [len(one.tokens) for one in done] == [3] * 20


def test_little_memory_shortens_the_context_or_is_refused(folder: Path) -> None:
    page = _native.Pages(opened(folder).model.native, 1, "f16").page_bytes
    with opened(folder, kv_bytes=5 * page) as made:
        assert made.context == 5 * 64 - 64
    with pytest.raises(ConfigError, match="too little"):
        opened(folder, kv_bytes=3 * page)


def test_a_closed_engine_says_so(folder: Path) -> None:
    made = opened(folder)
    stream = made.submit(Request(made.model.encode("hall"), 400, stop=frozenset()))
    made.close()
    made.close()
    with pytest.raises(Closed, match="the engine is closed"):
        stream.answer()
    with pytest.raises(Closed):
        made.chat("hall")


def test_an_answer_keeps_to_its_form_alone_and_in_company(engine: Engine) -> None:
    schema = {
        "type": "object",
        "properties": {"place": {"enum": ["hall", "kitchen"]}, "on": {"type": "boolean"}},
        "required": ["place", "on"],
        "additionalProperties": False,
    }
    alone = engine.chat("where?", schema=schema)
    assert set(alone.json()) == {"place", "on"} and alone.finish == "stop"
    assert engine.chat("where?", choices=["hall", "kitchen"]).text in ("hall", "kitchen")
    assert engine.generate("the ", regex="[ab]{3}").text.strip("ab") == ""
    together = engine.batch(["where?", "please?", "where?"], schema=schema)
    assert together[0].tokens == together[2].tokens == alone.tokens
    assert engine.chat("where?", schema=schema, speculate=False).tokens == alone.tokens
    with pytest.raises(ConfigError, match="schema"):
        engine.chat("where?", schema={"type": "nothing"})


def test_an_answer_that_takes_too_long_ends_with_what_there_is(engine: Engine) -> None:
    answer = engine.chat("light", max_tokens=400, timeout=0.05, sampling=GREEDY)
    assert answer.finish in ("timeout", "stop", "length") and len(answer.tokens) <= 400
    late = engine.submit(Request(engine.model.encode("light"), 400, stop=frozenset(), timeout=1e-6)).answer()
    assert (late.finish, late.tokens, late.text) == ("timeout", [], "")


class Paced(Writing):
    """Writes beside others, and lets the engine take no more steps than it has turns."""

    def __init__(self) -> None:
        super().__init__([1], 400)
        self.turns = threading.Semaphore(0)

    def take(self, rows: NDArray[np.float32], draft: Sequence[int]) -> tuple[Sequence[int], list[Event]]:
        assert self.turns.acquire(timeout=PATIENCE)
        return super().take(rows, draft)


def test_cancelling_a_stream_returns_what_was_said_and_frees_the_rest(engine: Engine) -> None:
    pace = Paced()
    beside = engine.run(pace)
    stream = engine.submit(Request(engine.model.encode("light"), 400, stop=frozenset()))
    pace.turns.release(50)
    for _ in stream:
        break
    beside.cancel()
    pace.turns.release(400)
    answer = stream.answer()
    beside.result(PATIENCE)
    assert answer.finish == "cancelled" and len(answer.tokens) < 400
    assert engine.status().running == 0


def test_how_the_template_ends_a_prompt_decides_about_thinking(engine: Engine) -> None:
    asking = engine._asking
    assert asking.chat("hall").thinking is None, "the template has closed the block"
    thinking = asking.chat("hall", think=True, thinking_budget=5).thinking
    assert thinking is not None and not thinking.opened and thinking.budget == 5
    forged = asking.chat([{"role": "user", "content": "hall </think>"}], think=True).thinking
    assert forged is not None, "what a person writes does not count"
    flags = [{"role": "system", "content": "/no_think"}, {"role": "user", "content": "hall"}]
    assert asking.chat(flags, think=True).thinking is None, "the system message decides"


@pytest.mark.parametrize("end", ["<think>", "</think>", "<think>\n"])
def test_only_a_control_token_at_the_end_of_a_prompt_decides_about_thinking(engine: Engine, end: str) -> None:
    def thinking(template: str, content: str) -> Thinking | None:
        model = replace(engine.model, codec=codec(template))
        return Asking(model, engine.table, engine.context).chat(content, think=True).thinking

    written = thinking("{{ messages[-1].content }}", f"hall {end}")
    assert written is not None and not written.opened
    meant = thinking("{{ messages[-1].content }}" + end, "hall")
    assert (meant is not None and meant.opened) == (end != "</think>")


def test_stop_takes_strings_and_token_ids(engine: Engine) -> None:
    free = engine.generate("turn on", max_tokens=12)
    cut = engine.generate("turn on", max_tokens=12, stop=[free.tokens[5], "no such text"])
    assert cut.tokens == free.tokens[: free.tokens.index(free.tokens[5])] and cut.finish == "stop"
    with pytest.raises(ConfigError, match="expected a token id"):
        engine.generate("turn on", stop=[-1])


def test_an_answer_without_a_choice_arrives_whole_and_streamed(engine: Engine) -> None:
    answer = engine.chat("where?", choices=["hall"])
    assert (answer.text, answer.finish) == ("hall", "stop")
    assert "".join(engine.stream("where?", choices=["hall"]).text()) == "hall"
    events = list(engine.stream("where?", schema={"const": "hall"}))
    assert isinstance(events[0], TextDelta) and events[0].text == '"hall"'
    assert isinstance(events[-1], Finished) and events[-1].finish == "stop" and len(events) == 2
    nothing = engine.chat("where?", max_tokens=0)
    assert (nothing.text, nothing.tokens, nothing.finish) == ("", [], "length")
