"""The output of a response as it grows: reasoning, a message, calls; and the events that tell of each step.

Input: pieces of an answer in order. Output: events as (type, fields), and the finished items. A whole answer goes
through the same as one that is streamed, so both end in the same items.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from smolforge.serve.calls import Called, Part, Said
from smolforge.serve.shapes import new_id

Json = dict[str, Any]
Events = Iterator[tuple[str, Json]]


class Items:
    """At most one item is open at a time: the last."""

    def __init__(self) -> None:
        self.done: list[Json] = []
        self._open: Json | None = None

    def reason(self, text: str) -> Events:
        """Take a piece of reasoning."""
        yield from self._begin("reasoning")
        self._content()["text"] += text
        yield "response.reasoning_text.delta", {**self._place(), "content_index": 0, "delta": text}

    def part(self, part: Part) -> Events:
        """Take words, the beginning of a call, or a piece of its arguments."""
        if isinstance(part, Said):
            yield from self.say(part.text, [])
        elif isinstance(part, Called):
            yield from self.end("completed")
            yield from self._begin("function_call", part.name)
        elif self._open is not None:
            self._open["arguments"] += part.text
            yield "response.function_call_arguments.delta", {**self._place(), "delta": part.text}

    def say(self, text: str, logprobs: list[Json]) -> Events:
        """Take a piece of the message, and log-probabilities of its tokens, which may come apart."""
        yield from self._begin("message")
        self._content()["text"] += text
        self._content()["logprobs"] += logprobs
        delta = {"content_index": 0, "delta": text, "logprobs": logprobs}
        yield "response.output_text.delta", {**self._place(), **delta}

    def end(self, status: str) -> Events:
        """Close the open item, if there is one."""
        item = self._open
        if item is None:
            return
        place = self._place()
        if item["type"] == "function_call":
            told = {"name": item["name"], "arguments": item["arguments"]}
            yield "response.function_call_arguments.done", {**place, **told}
        else:
            part = self._content()
            more = {"logprobs": part["logprobs"]} if item["type"] == "message" else {}
            kind = "output_text" if item["type"] == "message" else "reasoning_text"
            yield f"response.{kind}.done", {**place, "content_index": 0, "text": part["text"], **more}
            yield "response.content_part.done", {**place, "content_index": 0, "part": part}
        item["status"] = status
        self.done.append(item)
        self._open = None
        yield "response.output_item.done", {"output_index": place["output_index"], "item": item}

    def _begin(self, kind: str, name: str = "") -> Events:
        """Open an item of that kind, unless it is the one that is open."""
        if self._open is not None and self._open["type"] == kind and kind != "function_call":
            return
        yield from self.end("completed")
        self._open = _new(kind, name)
        added = {**self._open, **({} if kind == "function_call" else {"content": []})}
        yield "response.output_item.added", {"output_index": len(self.done), "item": added}
        if kind != "function_call":
            part = {"content_index": 0, "part": dict(self._content())}
            yield "response.content_part.added", {**self._place(), **part}

    def _content(self) -> Json:
        assert self._open is not None
        part: Json = self._open["content"][0]
        return part

    def _place(self) -> Json:
        assert self._open is not None
        return {"item_id": self._open["id"], "output_index": len(self.done)}


def _new(kind: str, name: str) -> Json:
    if kind == "message":
        content = [{"type": "output_text", "text": "", "annotations": [], "logprobs": []}]
        return {"id": new_id("msg_"), "type": kind, "status": "in_progress", "role": "assistant", "content": content}
    if kind == "reasoning":
        content = [{"type": "reasoning_text", "text": ""}]
        return {"id": new_id("rs_"), "type": kind, "status": "in_progress", "summary": [], "content": content}
    call = {"call_id": new_id("call_"), "name": name, "arguments": ""}
    return {"id": new_id("fc_"), "type": kind, "status": "in_progress", **call}
