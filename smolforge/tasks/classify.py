"""Which label fits a text: the probability of every label, from one reading of the text and one look at the label tree.

Input: an engine, texts and labels. Output: ``Classification``: the label, the scores of all, the cost. Instruction and
labels stand first in the prompt, so that they are read once for all texts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from smolforge.engine.branches import Branching
from smolforge.engine.engine import Engine
from smolforge.engine.job import Job
from smolforge.errors import ConfigError, DataError, SmolforgeError
from smolforge.store.digest import digest_json
from smolforge.tasks.in_order import in_order
from smolforge.tasks.label_reading import Choice, Judgement, Questions
from smolforge.tasks.label_tree import LabelTree, Scores
from smolforge.tasks.results import Cost

if TYPE_CHECKING:
    from smolforge.tasks.calibration import Calibration

INSTRUCTION = "Classify the user's text. Answer with the one label that fits best, and nothing else."
MULTI_INSTRUCTION = 'For each label say whether it fits the user\'s text, as "label: yes" or "label: no".'
LEAST = 0.005  # ways of the label tree with less than this probability are not followed
YES, NO = "yes", "no"
FITS = 0.5  # the probability from which on a label is taken, with several labels a text
_PROBES = ("A", "1")  # texts that begin differently: what their prompts share, all prompts share


@dataclass(frozen=True)
class Classification:
    """The label of a text, None where the best one is below the ``abstain`` threshold, and every label's probability.

    ``scores`` come best first and add up to 1. With several labels a text each stands for itself; ``labels`` are those
    that fit, best first, and ``label`` the best of them.
    """

    label: str | None
    labels: tuple[str, ...]
    scores: dict[str, float]
    cost: Cost

    def json(self) -> dict[str, Any]:
        """Return what ``--json`` prints."""
        scores = {label: round(score, 6) for label, score in self.scores.items()}
        return {"label": self.label, "labels": list(self.labels), "scores": scores, **self.cost.json()}


class Classifier:
    """One set of labels, ready for any number of texts. Calls may come from any thread."""

    def __init__(
        self,
        engine: Engine,
        labels: Sequence[str],
        *,
        multi: bool = False,
        instruction: str | None = None,
        descriptions: Mapping[str, str] | None = None,
        calibration: Calibration | None = None,
        abstain: float | None = None,
    ) -> None:
        """Make a classifier; see ``classify``."""
        self.engine, self.multi = engine, multi
        self.labels, self.descriptions = _checked(labels), dict(descriptions or {})
        if unknown := sorted(self.descriptions.keys() - set(self.labels)):
            raise ConfigError(f"descriptions: {unknown[0]!r} is not one of the labels")
        if abstain is not None and not 0 <= abstain <= 1:
            raise ConfigError(f"abstain is {abstain}, expected a probability from 0 to 1")
        self.instruction = instruction or (MULTI_INSTRUCTION if multi else INSTRUCTION)
        self.calibration, self._abstain = calibration, abstain
        if calibration is not None:
            calibration.require(self)
        self._form = self._make_questions() if multi else self._make_tree()
        self._system = self._about_labels()
        self._shared = self._start_of_prompts()

    @property
    def digest(self) -> str:
        """What the scores depend on besides the model: labels and all that the prompt says about them."""
        return digest_json([self.labels, self.descriptions, self.instruction, self.multi])

    def one(self, text: str) -> Classification:
        """Classify one text."""
        return next(self.each([text]))

    def each(self, texts: Iterable[str]) -> Iterator[Classification]:
        """Classify texts as they come, as many at once as the engine takes; results in their order."""
        for scores, cost in self._read(texts, self._least):
            yield self._result(scores, cost)

    def outcomes(self, texts: Iterable[str]) -> Iterator[Classification | SmolforgeError]:
        """As ``each``; what is wrong with one text is yielded in its place, not raised."""
        self.engine.warm(self._shared)
        return in_order(
            texts, self._fitting_work, self.engine.run_all, lambda job: self._result(job.result(), _cost(job))
        )

    def log_scores(self, texts: Iterable[str]) -> list[Scores]:
        """Return the uncalibrated log-probabilities (nats) of the labels, float64 (labels,) a text."""
        return [scores for scores, _ in self._read(texts, 0.0)]

    def _read(self, texts: Iterable[str], least: float) -> Iterator[tuple[Scores, Cost]]:
        self.engine.warm(self._shared)
        for job in self.engine.run_all(self._work(text, least) for text in texts):
            scores = job.result()
            yield scores, _cost(job)

    @property
    def _least(self) -> float:
        """The probability below which ways of the tree are not followed; the best label has as much or more."""
        return 0.0 if self.calibration is not None else min(LEAST, 1 / len(self.labels))

    def _fitting_work(self, text: str) -> Branching[Scores]:
        """Return the work of one text; DataError where the context has no room for it."""
        work = self._work(text, self._least)
        if work.most > self.engine.context:
            raise DataError(
                f"the text and the labels take {work.most} tokens, there are {self.engine.context} positions"
            )
        return work

    def _work(self, text: str, least: float) -> Branching[Scores]:
        if not text.strip():
            raise DataError("the text is empty")
        if isinstance(self._form, Questions):
            return Judgement(self.prompt(text), self._form)
        return Choice(self.prompt(text), self._form, least)

    def _result(self, scores: Scores, cost: Cost) -> Classification:
        if self.multi:
            chances, least = scores, FITS if self._abstain is None else self._abstain
        else:
            logs = scores if self.calibration is None else self.calibration.apply(scores)
            chances, least = np.exp(logs), self._abstain or 0.0
        ranked = {self.labels[i]: float(chances[i]) for i in np.argsort(-chances, kind="stable")}
        fitting = [label for label, chance in ranked.items() if chance >= least]
        fitting = fitting if self.multi else fitting[:1]
        return Classification(fitting[0] if fitting else None, tuple(fitting), ranked, cost)

    def prompt(self, text: str) -> list[int]:
        """Return the tokens that are read for a text, up to where the model begins to answer."""
        chat = [{"role": "system", "content": self._system}, {"role": "user", "content": text}]
        return self.engine.codec.prompt(chat, "no_think")

    def _about_labels(self) -> str:
        known = self.descriptions
        lines = (f"{label}: {known[label]}" if label in known else label for label in self.labels)
        return "\n".join([self.instruction, "", "Labels:", *lines])

    def _start_of_prompts(self) -> list[int]:
        """Return what the prompts of all texts begin with; ConfigError where it leaves no room for a text."""
        shared = _common(*map(self.prompt, _PROBES))
        if len(shared) >= self.engine.context:
            raise ConfigError(
                f"labels: with the instruction they take {len(shared)} tokens, the context has {self.engine.context}"
            )
        return shared

    def _make_tree(self) -> LabelTree:
        return LabelTree(self.engine.codec.encode_text(self.labels), sorted(self.engine.model.stop))

    def _make_questions(self) -> Questions:
        """Return each label with a colon, and for each the first tokens in which the two answers differ."""
        answers = [self.engine.codec.encode_text([f"{label}: {word}" for label in self.labels]) for word in (YES, NO)]
        questions = [_common(a, b) for a, b in zip(*answers, strict=True)]
        yes, no = ([row[len(q)] for row, q in zip(rows, questions, strict=True)] for rows in answers)
        return Questions(questions, np.asarray(yes), np.asarray(no))


def classify(
    engine: Engine,
    text: str,
    labels: Sequence[str],
    *,
    multi: bool = False,
    instruction: str | None = None,
    descriptions: Mapping[str, str] | None = None,
    calibration: Calibration | None = None,
    abstain: float | None = None,
) -> Classification:
    """Say which of ``labels`` fits ``text``, and how likely each is.

    A label's probability is the product, over the places where labels part, of the model's probability of its next
    token among those that lead to labels: what sampling at temperature 1 under that mask gives. Labels that have less
    than ``LEAST`` together at the first such place share it evenly; with a ``calibration`` nothing is left out. Greedy
    decoding under the same mask gives the likeliest label whenever that one has more than half.

    ``multi``: each label for itself, yes against no; those of 0.5 (or ``abstain``) and more fit. ``instruction``: what
    the labels mean and how to choose. ``descriptions``: a few words about labels. ``abstain``: the probability below
    which there is no label. ConfigError for labels or a calibration that cannot be used; DataError for a text that is
    empty, or longer than the engine's context.
    """
    classifier = Classifier(
        engine, labels, multi=multi, instruction=instruction, descriptions=descriptions, calibration=calibration,
        abstain=abstain,
    )  # fmt: skip
    return classifier.one(text)


def classify_batch(
    engine: Engine,
    texts: Iterable[str],
    labels: Sequence[str],
    *,
    multi: bool = False,
    instruction: str | None = None,
    descriptions: Mapping[str, str] | None = None,
    calibration: Calibration | None = None,
    abstain: float | None = None,
) -> list[Classification]:
    """Classify many texts together; results in their order, each as ``classify`` gives it."""
    classifier = Classifier(
        engine, labels, multi=multi, instruction=instruction, descriptions=descriptions, calibration=calibration,
        abstain=abstain,
    )  # fmt: skip
    return list(classifier.each(texts))


def _checked(labels: Sequence[str]) -> list[str]:
    """Return the labels without white space around them; ConfigError names what is wrong."""
    if isinstance(labels, str):
        raise ConfigError("labels: one string; expected a list of strings")
    stripped = [label.strip() for label in labels]
    if len(stripped) < 2:
        raise ConfigError(f"labels: {len(stripped)} given, expected two or more")
    if not all(stripped):
        raise ConfigError("labels: one is empty")
    if (most := Counter(stripped).most_common(1)[0])[1] > 1:
        raise ConfigError(f"labels: {most[0]!r} is there {most[1]} times")
    return stripped


def _common(first: Sequence[int], second: Sequence[int]) -> list[int]:
    """Return the tokens both begin with."""
    return [a for a, _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))]


def _cost(job: Job[Scores]) -> Cost:
    work = job.work
    assert isinstance(work, Branching)
    read, times = len(work.prompt) + work.branch_tokens, job.timings
    return Cost(read, work.cached_tokens, waited=times.waited, prompt=times.prompt, generation=times.generation)
