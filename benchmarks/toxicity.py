"""Train the toxicity model that is shipped, and say what it can: `python benchmarks/toxicity.py [--write]`.

Input: ``data/toxicity-frames.json``. Each sentence is filled with every insult, alone and in pairs; whole sentences are
left out in turn, so that the figures are of sentences the model never saw. ``--write`` replaces the shipped file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smolforge.corpus.scoring.config import ToxicityConfig
from smolforge.corpus.scoring.training import Example, area, train

ROOT = Path(__file__).parent.parent
FRAMES = ROOT / "data" / "toxicity-frames.json"
MODEL = ROOT / "smolforge" / "corpus" / "rules" / "toxicity" / "model.npz"
BITS, FOLDS = 15, 5
FLOOR = ToxicityConfig().floor


def examples() -> Iterator[tuple[set[int], Example]]:
    """Yield the folds of its sentences and the example, for every sentence and pair of every language."""
    for code, own in json.loads(FRAMES.read_text(encoding="utf-8"))["languages"].items():
        for toxic, name in ((True, "abusive"), (False, "benign")):
            count = len(own[name])
            for number, frame in enumerate(own[name]):
                for i, insult in enumerate(own["insults"] if "{n}" in frame else own["insults"][:2]):
                    text, doc_id = frame.replace("{n}", insult), f"{code}/{name}/{number}/{i}"
                    if "{n}" in frame or not i:
                        yield {number % FOLDS}, Example(doc_id, text, code, toxic)
                    second = (number + 1 + i) % count
                    pair = f"{text} {own[name][second].replace('{n}', insult)}"
                    yield {number % FOLDS, second % FOLDS}, Example(f"{doc_id}/{second}", pair, code, toxic)


def main() -> None:
    """Train on all but a fifth of the sentences, five times, print how the rest is judged; then train on all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="replace the shipped file")
    options = parser.parse_args()
    made = list(examples())
    scores, truth, languages = [], [], []
    for fold in range(FOLDS):
        model, _ = train([e for folds, e in made if fold not in folds], bits=BITS)
        held = [e for folds, e in made if folds == {fold}]
        scores.append(model.probabilities([e.text for e in held], [e.language for e in held]))
        truth += [e.good for e in held]
        languages += [e.language for e in held]
    probability, right, codes = np.concatenate(scores).astype(np.float64), np.array(truth), np.array(languages)
    for code in sorted(set(languages)):
        own = codes == code
        caught, wrong = (probability[own & right] >= FLOOR).mean(), (probability[own & ~right] >= FLOOR).mean()
        curve = area(probability[own], right[own].astype(np.float64))
        print(f"{code}: area {curve:.3f}, at {FLOOR} {caught:.0%} of abuse and {wrong:.1%} of the rest")
    if options.write:
        model, judged = train([e for _, e in made], bits=BITS)
        model.save(MODEL)
        print(judged)


if __name__ == "__main__":
    main()
