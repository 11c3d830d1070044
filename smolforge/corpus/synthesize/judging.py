"""The judge: a score from 1 to 5, asked of a generator about what passed every other check.

Input: candidates and a client. Output: (score or None, the reason given), in their order. A judge is a generator too;
its prompt is ``formats/judge.yaml``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from smolforge.corpus.synthesize.candidate import Candidate
from smolforge.corpus.synthesize.drafts import read_answer
from smolforge.corpus.synthesize.endpoint import Client
from smolforge.corpus.synthesize.format import fill, load_format
from smolforge.corpus.synthesize.request import Params, Request

_PARAMS = Params(temperature=0.0, top_p=1.0, max_tokens=400)


def scores(candidates: Sequence[Candidate], client: Client) -> Iterator[tuple[int | None, str]]:
    """Yield the judge's score of each candidate; None with the reason where it gave none."""
    (ask,) = load_format("judge").asks
    assert isinstance(ask.form, dict)
    prompts = (fill(ask.prompt, {"text": each.source.text, "result": each.text}) for each in candidates)
    requests = (Request(({"role": "user", "content": prompt},), _PARAMS, ask.form) for prompt in prompts)
    for reply in client.replies(requests):
        answer = read_answer(reply.samples[0], ask.form)
        if answer.fault is not None:
            yield None, answer.fault[1]
        else:
            yield int(answer.value["score"]), str(answer.value["reason"])
