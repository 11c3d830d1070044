"""A thousand short documents under one instruction of 500 tokens: messages to a shop, each routed by two words of JSON.

In: messages made from the lists below, the same in every run. Out: documents per minute on both sides, each with as
many at once as is fastest for it: llama-server's slots over HTTP, our scheduler in this process. The server gets the
schema as a grammar without white space: its own translation allows some, and this model then writes twice the tokens.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from time import perf_counter
from typing import Any

from smolforge.engine.engine import Engine

from . import models, peer
from .calm import in_turn
from .claims import Claim
from .setting import Setting

TARGET = 3.0
CONTEXT, MAX_TOKENS = 1024, 48
DOCUMENTS, QUICK_DOCUMENTS = 1000, 120
SLOTS = 8
PEER_OPTIONS: tuple[str, ...] = ("-np", str(SLOTS), "--cache-ram", "0")
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "team": {"enum": ["delivery", "returns", "payments", "repairs", "accounts", "sales"]},
        "urgency": {"enum": ["low", "normal", "high"]},
    },
    "required": ["team", "urgency"],
    "additionalProperties": False,
}
_TEAMS, _URGENCIES = (" | ".join(json.dumps(word) for word in form["enum"]) for form in SCHEMA["properties"].values())
GRAMMAR = f"""\
root ::= "{{\\"team\\":\\"" team "\\",\\"urgency\\":\\"" urgency "\\"}}"
team ::= {_TEAMS}
urgency ::= {_URGENCIES}
"""
INSTRUCTION = """\
You sort the messages that reach the service desk of Harrow Lane, a shop that sells lamps, kettles, radios and other
things for the house on the internet. For every message you say which team has to answer it and how soon. You never
answer the message itself, you never ask anything back, and you write nothing but one line of compact JSON with the keys
"team" and "urgency".

The teams are these. "delivery" looks after everything between our warehouse and the customer's door: parcels that are
late, lost, damaged on the way, left with a neighbour or sent to a wrong address, and changes of an address or a day
before a parcel has left. "returns" looks after goods that a customer wants to send back or exchange although they work,
after labels and collections for them, and after the question how long somebody may think it over. "payments" looks
after invoices, refunds that have not arrived, amounts that were taken twice or are wrong, vouchers and gift cards, and
ways of paying that were refused. "repairs" looks after goods that broke, that never worked, that make a noise or a
smell, after spare parts, and after the guarantee. "accounts" looks after passwords, sign-in, newsletters, personal data
and the closing of accounts. "sales" looks after everything that is asked before buying: sizes, colours, stock, prices,
orders for companies, and whether two things fit together.

Where a message is about two things, choose the team for the one that must be settled first: a parcel that came broken
belongs to "delivery" if the box was damaged and to "repairs" if the box was whole. A refund for goods that are on their
way back belongs to "payments". A message with no wish at all, such as thanks or praise, belongs to "sales".

The urgency is "high" where somebody could be hurt, as with smoke, sparks, heat or broken glass, where money is being
taken that is not owed, where an account was opened or used by somebody else, or where goods are needed within two days.
It is "low" where nothing is wrong and nothing hurries: questions before buying, newsletters, praise, and ideas for the
shop. In all other cases it is "normal". The length of a message, capital letters, exclamation marks and threats do not
make it more urgent, and politeness does not make it less so. Do not guess at what is not said.

Answers look like this:
{"team":"payments","urgency":"normal"}
{"team":"sales","urgency":"low"}
"""
_THINGS = (
    "desk lamp", "kettle", "radio", "toaster", "wall clock", "floor lamp", "coffee mill", "fan", "bread bin", "heater",
)  # fmt: skip
_PLACES = ("Leeds", "Cork", "Bath", "York", "Derby", "Truro", "Perth", "Ely", "Wells", "Ripon")
_STORIES = (
    "The {thing} from order {number} should have been in {place} on Monday and the tracking has not moved since.",
    "Order {number}: the {thing} sparks when I switch it on. What shall I do with it?",
    "I was charged twice for the {thing} in order {number}, please check and send one amount back to {place}.",
    "Does the {thing} also come in green, and is the shop in {place} going to have it before the spring?",
    "I cannot sign in any more to look up order {number} with the {thing}; the new password never arrives.",
    "The {thing} works but is too large for our flat in {place}. How do I return order {number}?",
    "After six weeks the {thing} of order {number} hums all evening. Is that covered by the guarantee?",
    "Please send order {number} to my sister in {place} instead, we need the {thing} by tomorrow.",
    "Just a word of thanks for the {thing}; it looks lovely in our kitchen in {place}. Order {number}.",
    "The gift card was refused when I paid for the {thing}, order {number}, though it has not been used.",
)
_ENDINGS = ("", " Thank you.", " Kind regards from {place}.", " I have written twice already!", " No hurry.")


def messages() -> Iterator[str]:
    """Messages of some 20 to 40 tokens, no two alike, in the same order every time."""
    draw, number = random.Random(4), 20000
    while True:
        number += draw.randint(1, 9)
        story = draw.choice(_STORIES) + draw.choice(_ENDINGS)
        yield story.format(thing=draw.choice(_THINGS), place=draw.choice(_PLACES), number=number)


def _chat(message: str) -> list[dict[str, str]]:
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": message}]


def _valid(answers: Sequence[str]) -> int:
    """How many answers are JSON with a team and an urgency of the lists."""
    found = [json.loads(answer) for answer in answers]
    return sum(all(row.get(key) in form["enum"] for key, form in SCHEMA["properties"].items()) for row in found)


def row(setting: Setting) -> list[Claim]:
    """Slices of the documents in turn; both sides have read the instruction before."""
    total, path = QUICK_DOCUMENTS if setting.quick else DOCUMENTS, models.small()
    size, our_next, peer_next = total // setting.turns, messages(), messages()
    mine: list[str] = []
    theirs: list[str] = []
    with (
        Engine.open(path, threads=setting.threads, context=CONTEXT) as engine,
        peer.server(path, threads=setting.threads, context=CONTEXT * SLOTS, options=PEER_OPTIONS) as server,
        ThreadPoolExecutor(SLOTS) as clients,
    ):
        instruction = len(engine.codec.encode_text([INSTRUCTION])[0])

        def ask(prompt: Sequence[int]) -> str:
            body = {"prompt": prompt, "grammar": GRAMMAR, "n_predict": MAX_TOKENS, "temperature": 0}
            return str(server.ask("/completion", {**body, "cache_prompt": True})["content"])

        def our_rate(chats: list[list[dict[str, str]]]) -> float:
            start = perf_counter()
            answers = engine.batch(chats, schema=SCHEMA, max_tokens=MAX_TOKENS)
            seconds = perf_counter() - start
            mine.extend(answer.text for answer in answers)
            return len(chats) / seconds * 60

        def peer_rate(chats: list[list[dict[str, str]]]) -> float:
            prompts = [engine.codec.prompt(chat, "no_think") for chat in chats]
            start = perf_counter()
            answers = list(clients.map(ask, prompts))
            seconds = perf_counter() - start
            theirs.extend(answers)
            return len(chats) / seconds * 60

        our_rate(list(map(_chat, islice(our_next, 2 * SLOTS))))
        peer_rate(list(map(_chat, islice(peer_next, 2 * SLOTS))))
        pair = in_turn(
            lambda: our_rate(list(map(_chat, islice(our_next, size)))),
            lambda: peer_rate(list(map(_chat, islice(peer_next, size)))),
            setting.turns,
            [server.pid],
        )
    note = f"instruction of {instruction} tokens; valid {_valid(mine)}/{len(mine)}, peer {_valid(theirs)}/{len(theirs)}"
    return [Claim("documents a minute", pair.ours, pair.peer, TARGET, "documents / min", note=f"{note}; {pair.note}")]
