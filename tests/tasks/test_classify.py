"""Classification: exact probabilities for all labels, in two passes, whatever else runs; and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smolforge import Engine
from smolforge.engine.admission import Limits
from smolforge.errors import ConfigError, DataError
from smolforge.generator import Request
from smolforge.tasks.classify import Classifier, classify, classify_batch
from smolforge.tasks.label_tree import LabelTree, branches_of
from tests.engine.tiny_model import write_tiny_model

LABELS = ["card", "card arrival", "card linking", "car", "top up", "top up failed", "refund", "lost card", "lost phone"]
TEXTS = ["turn on the light", "a", "please " * 30, "where is my card?", "in the hall\nthe kitchen"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


def opened(folder: Path, **options: object) -> Engine:
    settings = {"cache": False, "kv_bytes": 64 << 20, "threads": 1, **options}
    return Engine.open(folder, **settings)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def engine(folder: Path) -> Iterator[Engine]:
    with opened(folder) as made:
        yield made


class Masked:
    """A constraint that follows the labels' own tokens, one step at a time."""

    def __init__(self, labels: Sequence[Sequence[int]], stop: Sequence[int], size: int) -> None:
        self._left, self._stop, self._size = [list(label) for label in labels], list(stop), size

    def mask(self) -> NDArray[np.bool_]:
        allowed = np.zeros(self._size, bool)
        allowed[[token for label in self._left for token in (label[:1] or self._stop)]] = True
        return allowed

    def advance(self, token: int) -> None:
        self._left = [label[1:] for label in self._left if label and label[0] == token]


def by_scoring(engine: Engine, prompt: list[int], labels: Sequence[str]) -> NDArray[np.float64]:
    """Probabilities as products of masked softmaxes over what ``score_tokens`` says of single tokens."""
    tokens, stop = engine.codec.encode_text(labels), sorted(engine.model.stop)
    found = np.ones(len(labels))
    for i, label in enumerate(tokens):
        for depth in range(len(label) + 1):
            mates = [other for other in tokens if other[:depth] == label[:depth]]
            nexts = sorted({token for other in mates for token in (other[depth : depth + 1] or stop)})
            if len(mates) == 1:
                break
            mass = np.exp(engine.score([*prompt, *label[:depth]], [[token] for token in nexts]))
            mine = label[depth : depth + 1] or stop
            found[i] *= sum(mass[nexts.index(token)] for token in mine) / mass.sum()
    return found


@pytest.mark.parametrize("text", TEXTS)
def test_scores_are_products_of_masked_softmaxes_over_what_the_engine_scores(engine: Engine, text: str) -> None:
    classifier = Classifier(engine, LABELS)
    scores = np.exp(classifier.log_scores([text])[0])
    assert scores == pytest.approx(by_scoring(engine, classifier.prompt(text), LABELS), rel=1e-6)
    assert scores.sum() == pytest.approx(1)


def test_scores_do_not_depend_on_company_chunks_cache_or_few_pages(folder: Path, engine: Engine) -> None:
    alone = [Classifier(engine, LABELS).log_scores([text])[0] for text in TEXTS]
    for options in (
        {},
        {"limits": Limits(chunk=40)},
        {"limits": Limits(running=2)},
        {"context": 448, "kv_bytes": 1 << 20},
    ):
        with opened(folder, **options) as other:
            for _ in range(2):
                assert all(
                    (a == b).all() for a, b in zip(Classifier(other, LABELS).log_scores(TEXTS), alone, strict=True)
                )


def test_ways_that_are_not_followed_change_no_score_by_more_than_the_bound(engine: Engine) -> None:
    tree = LabelTree([[1, 2], [1, 3, 4], [1, 3, 5], [7], [8, 1], [8, 2]], stop=[0])
    row = np.zeros(20, np.float32)
    row[[1, 7, 8]] = [10, 9, 0]
    scores, forks = tree.begin(row, 1e-3)
    assert [fork.path for fork in forks] == [(1,), (1, 3)] and [b.tokens for b in branches_of(forks)] == [(1, 3)]
    assert scores[4] == scores[5] and np.exp(scores[4:6]).sum() == pytest.approx(
        np.exp(-10) / (1 + np.exp(-1)), rel=1e-3
    )
    exact = [Classifier(engine, LABELS).log_scores([text])[0] for text in TEXTS]
    for found, logs in zip(classify_batch(engine, TEXTS, LABELS), exact, strict=True):
        assert sum(found.scores.values()) == pytest.approx(1)
        assert [found.scores[label] for label in LABELS] == pytest.approx(np.exp(logs).tolist(), abs=0.005)


def test_a_label_with_more_than_half_is_what_greedy_decoding_under_the_mask_gives(engine: Engine) -> None:
    labels, sure = ["turn on", "turn off", "kitchen", "light", "hall light"], 0
    classifier, tokens = Classifier(engine, labels), engine.codec.encode_text(labels)
    stop = sorted(engine.model.stop)
    for text in [f"{word} {text}" for word in ("the", "on", "off", "x", "please") for text in TEXTS]:
        constraint = Masked(tokens, stop, engine.vocab_size)
        prompt = classifier.prompt(text)
        answer = engine.submit(Request(prompt, 20, stop=frozenset(stop), constraint=constraint)).answer().tokens
        greedy = next(label for label, row in zip(labels, tokens, strict=True) if answer[: len(row)] == row)
        found = classifier.one(text)
        if max(found.scores.values()) > 0.5:
            sure += 1
            assert found.label == greedy
    assert sure >= 3


def test_branches_are_the_fewest_that_lead_to_every_fork() -> None:
    tree = LabelTree([[5, 1], [5, 2], [5, 2, 7], [5, 2, 8, 1], [5, 2, 8, 2], [5, 3, 3], [5, 3, 4]], stop=[0])
    assert tree.start == (5,) and tree.root.path == ()
    assert [fork.path for fork in tree.forks] == [(2,), (2, 8), (3,)]
    assert branches_of(tree.forks) == [((2, 8), [0, 1]), ((3,), [0])] and tree.longest == 2


def test_150_labels_take_one_prefill_and_one_pass_over_the_tree() -> None:
    from smolforge.hub.local import bundled

    verbs = ["open", "close", "pay", "send", "block", "find", "change", "cancel", "renew", "report", "lose", "move"]
    things = ["account", "card", "limit", "top up", "direct debit", "pin", "app", "cash machine", "statement", "fee"]
    things += ["transfer", "address", "phone"]
    labels = [f"{verb} {thing}" for verb in verbs for thing in things][:150]
    assert len(labels) == 150
    with Engine.open(bundled(), threads=1) as real:
        classifier = Classifier(real, labels)
        classifier.log_scores(["the first text reads the labels"])
        before = real.status().steps
        scores = classifier.log_scores(["my card was swallowed"])[0]
        assert real.status().steps - before == 2
        assert np.exp(scores).sum() == pytest.approx(1) and (scores > -np.inf).all()


def test_each_of_several_labels_is_yes_against_no_behind_the_one_prompt(engine: Engine) -> None:
    classifier = Classifier(engine, LABELS, multi=True)
    for text, found in zip(TEXTS, classifier.each(TEXTS), strict=True):
        prompt = classifier.prompt(text)
        for label in LABELS:
            yes, no = engine.codec.encode_text([f"{label}: yes", f"{label}: no"])
            differ = next(i for i, pair in enumerate(zip(yes, no, strict=False)) if pair[0] != pair[1])
            a, b = np.exp([engine.score_tokens(prompt, [row])[0][differ] for row in (yes, no)])
            assert found.scores[label] == pytest.approx(a / (a + b), rel=1e-5)
        assert found.labels == tuple(label for label, chance in found.scores.items() if chance >= 0.5)
        assert found.label == (found.labels[0] if found.labels else None)


def test_below_the_abstain_threshold_there_is_no_label_but_all_scores(engine: Engine) -> None:
    found = classify(engine, TEXTS[0], LABELS)
    best = max(found.scores.values())
    assert found.label == next(iter(found.scores)) and found.labels == (found.label,)
    assert classify(engine, TEXTS[0], LABELS, abstain=best).label == found.label
    abstained = classify(engine, TEXTS[0], LABELS, abstain=min(1.0, best + 0.01))
    assert (abstained.label, abstained.labels, abstained.scores) == (None, (), found.scores)


def test_the_labels_and_the_instruction_are_read_once_for_all_texts(engine: Engine) -> None:
    found = classify_batch(engine, TEXTS, LABELS, instruction="What is it about?", descriptions={"car": "a vehicle"})
    for result in found:
        assert result.cost.cached_tokens >= 40 and result.cost.completion_tokens == 0
        assert result.cost.prompt_tokens > result.cost.cached_tokens
    assert json.loads(json.dumps(found[0].json()))["usage"]["cached_tokens"] == found[0].cost.cached_tokens


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["one"], "1 given"), (["a", " "], "empty"), (["a", "b", " a"], "'a' is there 2 times"), ("a,b", "one string"),
        (["a", "b " * 400], "one takes"),
    ],
)  # fmt: skip
def test_labels_that_cannot_be_used_are_refused(engine: Engine, labels: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        classify(engine, "text", labels)


def test_options_that_cannot_be_used_are_refused(engine: Engine) -> None:
    with pytest.raises(ConfigError, match="abstain is 2"):
        classify(engine, "text", LABELS, abstain=2)
    with pytest.raises(ConfigError, match="'dog' is not one of the labels"):
        classify(engine, "text", LABELS, descriptions={"dog": "an animal"})
    with pytest.raises(DataError, match="positions"):
        classify(engine, "text " * 600, LABELS)
    with pytest.raises(ConfigError, match="the context has 512"):
        classify(engine, "text", [f"label number {i}" for i in range(200)])
