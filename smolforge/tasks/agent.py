"""Let a model choose functions and arguments, and run them where the person agrees, until it answers in words.

Input: an engine, a question or a conversation, and tools. Output: ``CallResult``: the calls, what each returned, the
answer. (A model that was trained on one fixed list of tools is asked by ``fixed_call`` instead.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from smolforge.errors import ConfigError, DataError, SmolforgeError
from smolforge.generator import Sampling
from smolforge.tasks.in_order import in_order
from smolforge.tasks.results import Cost
from smolforge.tasks.tool_grammar import AUTO, NONE, REQUIRED, Tools, parse_calls, tool_constraint
from smolforge.tasks.tool_prompt import tool_messages
from smolforge.tasks.tool_run import Approve, ToolResult, refused, run_tool
from smolforge.tasks.tools import Tool, tools_of
from smolforge.tokens.messages import Message, ToolCall

if TYPE_CHECKING:
    from smolforge.engine.answer import Answer, AnswerStream
    from smolforge.engine.asking import Options
    from smolforge.engine.engine import Engine
    from smolforge.generator import Request

GREEDY = Sampling()


@dataclass(frozen=True)
class CallResult:
    """Calls in their order, the result of each that was to be run, and the words of the last answer.

    ``reasoning`` is the last answer's; ``messages`` the whole conversation, to go on with. ``complete`` is False where
    the last answer was cut off at its limit, or the conversation has outgrown the context.
    """

    calls: tuple[ToolCall, ...]
    results: tuple[ToolResult, ...]
    text: str
    reasoning: str
    turns: int
    complete: bool
    messages: tuple[Message, ...]
    cost: Cost

    def json(self) -> dict[str, Any]:
        """Return everything but the conversation as a JSON value."""
        return {
            "calls": [call_json(call) for call in self.calls],
            "results": [
                {
                    "call": call_json(one.call),
                    "output": one.output,
                    "error": one.error,
                    "seconds": round(one.seconds, 4),
                }
                for one in self.results
            ],
            "answer": self.text,
            "reasoning": self.reasoning or None,
            "turns": self.turns,
            "complete": self.complete,
            **self.cost.json(),
        }


def call_json(call: ToolCall) -> dict[str, Any]:
    """Return a call as a JSON value."""
    return {"name": call.name, "arguments": call.arguments}


class CallOptions(TypedDict, total=False):
    """What can be asked of each answer: see ``Engine.chat``. Answers are greedy unless ``sampling`` says otherwise."""

    think: bool
    thinking_budget: int | None
    max_tokens: int | None
    sampling: Sampling
    timeout: float | None


class BatchOptions(CallOptions, total=False):
    """Those of ``call_each``."""

    choice: str
    parallel: bool


@dataclass
class _Talk:
    """The conversation as it grows."""

    messages: list[Message]
    calls: list[ToolCall] = field(default_factory=list)
    results: list[ToolResult] = field(default_factory=list)
    cost: Cost = field(default_factory=Cost)
    turns: int = 0
    answer: Answer | None = None
    text: str = ""
    complete: bool = True

    def say(self, answer: Answer, may_call: bool) -> Sequence[ToolCall]:
        """Take the model's answer; return the calls it makes."""
        self.text, calls = parse_calls(answer.text)
        calls = calls if may_call else ()
        made = [call_json(call) for call in calls]
        ids = [f"call_{len(self.calls) + i}" for i in range(len(made))]
        said: dict[str, Any] = {"role": "assistant", "content": self.text}
        if made:
            said["tool_calls"] = [
                {"id": i, "type": "function", "function": one} for i, one in zip(ids, made, strict=True)
            ]
        self.messages.append(said)
        self.calls += calls
        self.cost += Cost.of(answer)
        self.answer, self.turns = answer, self.turns + 1
        return calls

    def tell(self, result: ToolResult) -> None:
        """Let the model know what a call returned; every call gets its result, in order."""
        told = {"tool_call_id": f"call_{len(self.results)}", "name": result.call.name, "content": result.output}
        self.messages.append({"role": "tool", **told})
        self.results.append(result)

    def result(self) -> CallResult:
        assert self.answer is not None
        return CallResult(
            tuple(self.calls), tuple(self.results), self.text, self.answer.reasoning, self.turns,
            self.complete and self.answer.finish == "stop", tuple(self.messages), self.cost,
        )  # fmt: skip


def call(
    engine: Engine,
    messages: str | Sequence[Message],
    tools: Tools,
    *,
    run: bool = False,
    approve: Approve | None = None,
    choice: str = REQUIRED,
    parallel: bool = True,
    max_turns: int = 4,
    max_calls: int = 8,
    tool_timeout: float = 60.0,
    **options: Unpack[CallOptions],
) -> CallResult:
    """Answer with calls of ``tools``; with ``run``, run them and let the model go on with what they returned.

    ``choice`` ("required": a call must be made; others: ``tool_grammar.tool_lark``) holds for the first answer, later
    ones may call. A call is run when ``approve`` returns True for it (``tool_run.always`` runs all); at most
    ``max_calls`` are run, each is waited for ``tool_timeout`` seconds, and the last of ``max_turns`` answers (from the
    second on) is one in words. A function that raises, or is not allowed, is told to the model as an error. ConfigError
    where tools or options are wrong.
    """
    known = tools_of(tools)
    _check(known, run, approve, max_turns)
    talk = _Talk(_rows(messages))
    for turn in range(1, max_turns + 1):
        wanted = choice if turn == 1 else NONE if turn == max_turns else AUTO
        rows, _ = tool_messages(engine.codec, talk.messages, known)
        asked = _asked(engine, known, wanted, parallel, options)
        try:
            answer = engine.chat(rows, **asked)
        except DataError:
            if not talk.results:
                raise
            talk.complete = False  # what has run has run: its results are not lost because there is no room for more
            break
        calls = talk.say(answer, wanted != NONE)
        if not calls or not run or approve is None:
            break
        for one in calls:
            if len(talk.results) < max_calls:
                talk.tell(run_tool(one, known, approve, tool_timeout))
            else:
                talk.tell(refused(one, f"only {max_calls} calls may be run"))
    return talk.result()


def call_each(
    engine: Engine,
    chats: Iterable[str | Sequence[Message]],
    tools: Tools,
    *,
    choice: str = REQUIRED,
    parallel: bool = True,
    **options: Unpack[CallOptions],
) -> Iterator[CallResult | SmolforgeError]:
    """Choose functions for many questions together, without running any; results in their order, as they come.

    What is wrong with one question is yielded in its place, not raised; ConfigError where tools or options are wrong.
    """
    known = tools_of(tools)
    asked = _asked(engine, known, choice, parallel, options)
    engine.request("x", **asked)
    talks: deque[_Talk] = deque()

    def ask(messages: str | Sequence[Message]) -> Request:
        talk = _Talk(_rows(messages))
        rows, _ = tool_messages(engine.codec, talk.messages, known)
        request = engine.request(rows, **asked)
        talks.append(talk)
        return request

    def read(stream: AnswerStream) -> CallResult:
        talk = talks.popleft()
        talk.say(stream.answer(), choice != NONE)
        return talk.result()

    return in_order(chats, ask, engine.streams, read)


def call_batch(
    engine: Engine, chats: Iterable[str | Sequence[Message]], tools: Tools, **options: Unpack[BatchOptions]
) -> list[CallResult]:
    """As ``call_each``, all together; the first error is raised."""
    made = []
    for result in call_each(engine, chats, tools, **options):
        if isinstance(result, SmolforgeError):
            raise result
        made.append(result)
    return made


def _asked(engine: Engine, tools: Sequence[Tool], choice: str, parallel: bool, given: CallOptions) -> Options:
    """Return the engine's options; each answer gets a constraint of its own."""
    form = tool_constraint(engine, tools, choice=choice, parallel=parallel)
    options: Options = {
        "think": given.get("think", False),
        "thinking_budget": given.get("thinking_budget"),
        "max_tokens": given.get("max_tokens"),
        "sampling": given.get("sampling", GREEDY),
        "timeout": given.get("timeout"),
        "tools": tool_messages(engine.codec, (), tools)[1],
    }
    return options if form is None else {**options, "constraint": form.copy}


def _rows(messages: str | Sequence[Message]) -> list[Message]:
    return [{"role": "user", "content": messages}] if isinstance(messages, str) else list(messages)


def _check(tools: Sequence[Tool], run: bool, approve: Approve | None, max_turns: int) -> None:
    if max_turns < 1:
        raise ConfigError(f"max_turns is {max_turns}, expected 1 or more")
    if run and approve is None:
        raise ConfigError("functions are run: say who allows each call with 'approve' (tool_run.always allows all)")
    for tool in tools:
        if run and tool.function is None:
            raise ConfigError(f"tool '{tool.name}' is a definition only; there is no function to run")
