"""What the clients of the load test ask: chats of many lengths, bodies that are wrong, and schemas that are hostile.

Input: nothing but numbers that make each question new. Output: request bodies.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Messages = list[dict[str, str]]
CHAT = "/v1/chat/completions"
DOCUMENTS: list[str] = json.loads((Path(__file__).parents[1] / "edge" / "documents.json").read_text("utf-8"))[
    "documents"
]
SHORT = (
    "Name three fruits.", "What is the capital of France?", "Write a haiku about rain.", "What is 12 plus 7?",
    "Explain why the sky is blue.", "Say hello in Spanish.", "List five animals.", "What is a prime number?",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """A chat, and at most how many tokens to answer it with."""

    messages: Messages
    max_tokens: int

    def body(self, **more: Any) -> bytes:
        """Return the request for a greedy answer, streamed and counted."""
        asked = {"messages": self.messages, "max_tokens": self.max_tokens, "temperature": 0}
        streamed = {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps({**asked, **streamed, **more}).encode()


def questions(count: int, label: str = "") -> list[Question]:
    """Return ``count`` questions of 30 to 1,000 tokens, answered with 8 to 64; a ``label`` keeps caches out of them."""
    made = []
    for i in range(count):
        head = f"[{label}{i}] " if label else ""
        if i % 2 == 0:
            text = SHORT[i // 2 % len(SHORT)]
        elif i % 8 != 7:
            text = f"Retell this in one sentence:\n{DOCUMENTS[i % len(DOCUMENTS)]}"
        else:
            text = "What are these texts about?\n" + "\n".join(DOCUMENTS[(i + k) % len(DOCUMENTS)] for k in range(6))
        made.append(Question([{"role": "user", "content": head + text}], 8 + 8 * (i % 8)))
    return made


def _chat(**more: Any) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8, **more}).encode()


MALFORMED: tuple[bytes, ...] = (
    b"", b"{", b"[]", b"nonsense", b'{"messages": 1}', b'{"messages": []}', b"\xff\xfe{}", b"[" * 100_000,
    b'{"messages":[{"role":"user","content":"a"}],"temperature":NaN}',
    b'{"messages":[{"role":"user","content":"\\ud800"}]}',
    b'{"messages":[{"role":"user","content":"a"}],"max_tokens":1' + b"0" * 5000 + b"}",
    _chat(temperature="hot"), _chat(max_tokens=-1), _chat(no_such_field=1), _chat(logit_bias={"x": 1}), _chat(n=10_000),
    _chat(messages=[{"role": "robot", "content": "a"}]),
    _chat(messages=[{"role": "user", "content": [{"type": "image"}]}]),
    _chat(model="another"), _chat(tool_choice="required"), _chat(padding="x" * (5 << 20)),
)  # fmt: skip


def _deep(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(depth):
        schema = {"type": "object", "properties": {"a": schema}, "required": ["a"]}
    return schema


HOSTILE: tuple[dict[str, Any], ...] = (
    _deep(40),
    {"$ref": "#/$defs/a0", "$defs": {f"a{i}": {"$ref": f"#/$defs/a{i + 1}"} for i in range(5000)}},
    {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    {"type": "string", "pattern": "(" * 300 + "a" + ")" * 300},
    {"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"},
    {"type": "string", "pattern": "(a+)+$(?=b)"},
    {"enum": [f"value {i}" for i in range(20_000)]},
    {"type": "array", "items": {"type": "integer"}, "minItems": 10**9},
    {"type": "integer", "minimum": 1e300, "maximum": -1e300},
    {"allOf": [{"type": "string"}, {"type": "integer"}]},
    {"anyOf": [{"anyOf": [{"type": "object", "properties": {f"p{i}{k}": {}}} for k in range(40)]} for i in range(40)]},
    {"type": "object", "patternProperties": {".*(.*(.*(.*)*)*)*": {"type": "null"}}},
    {"type": "nothing"},
    {"type": "string", "format": "no-such-format", "minLength": 5, "maxLength": 1},
)


def hostile(index: int) -> bytes:
    """Return a chat whose answer must fit a hostile schema."""
    schema = {"name": "x", "schema": HOSTILE[index % len(HOSTILE)]}
    return _chat(response_format={"type": "json_schema", "json_schema": schema})
