"""Near dedup the plain way, in memory: what the waves must find on small input."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from smolforge.corpus.config import DedupConfig
from smolforge.corpus.dedup.minhash import contained_share
from smolforge.corpus.dedup.near_texts import print_of
from tests.corpus.dedup_pool import Text, nomination_keys


def find(texts: Sequence[Text], config: DedupConfig) -> tuple[dict[str, tuple[str, float]], set[frozenset[str]]]:
    """Return doc_id -> (partner, score), and the groups of related documents."""
    keys = {each.doc_id: nomination_keys(each.text, each.label, config, {}).tolist() for each in texts}
    prints = {each.doc_id: print_of(each.text, each.label) for each in texts}
    kept_in: dict[int, list[str]] = defaultdict(list)
    gone: dict[str, tuple[str, float]] = {}
    group = {each.doc_id: {each.doc_id} for each in texts}
    for each in sorted(texts, key=lambda text: (-len(text.text), text.doc_id)):
        best, score = "", 0.0
        for rival in dict.fromkeys(rival for key in keys[each.doc_id] for rival in kept_in[key]):
            share = contained_share(prints[each.doc_id].shingles, prints[rival].shingles)
            same = set(prints[each.doc_id].subjects.tolist()) <= set(prints[rival].words.tolist())
            first = score == share and best and _order(texts, rival) < _order(texts, best)
            if same and (share > score or first):
                best, score = rival, share
            if share >= config.related:
                joined = group[each.doc_id] | group[rival]
                for member in joined:
                    group[member] = joined
        if best and score >= config.containment:
            gone[each.doc_id] = best, score
        else:
            for key in keys[each.doc_id]:
                kept_in[key].append(each.doc_id)
    return gone, {frozenset(members) for members in group.values() if len(members) > 1}


def _order(texts: Sequence[Text], doc_id: str) -> tuple[int, str]:
    return next((-len(each.text), each.doc_id) for each in texts if each.doc_id == doc_id)
