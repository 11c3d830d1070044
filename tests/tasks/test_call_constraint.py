"""The call constraint admits exactly the legal tool calls about one command, whatever the tokenisation."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from smolforge.errors import ConfigError, DataError
from smolforge.tasks.call_constraint import CallConstrainer, CallConstraint
from smolforge.tasks.copy_source import numbers_of, spans_of
from smolforge.tasks.vocabulary import Vocabulary


def _tool(name: str, properties: dict, combinations: list[list[str]] | None = None, required: list[str] = ()) -> dict:
    function = {
        "name": name,
        "parameters": {"type": "object", "properties": properties, "required": list(required)},
    }
    if combinations is not None:
        function["x-slot-combinations"] = combinations
    return {"type": "function", "function": function}


COPY = {"type": "string", "x-copy": True}
DOMAIN = {"type": "string", "enum": ["light", "lock", "lawn_mower"]}
TOOLS = [
    _tool(
        "HassTurnOn", {"name": COPY, "area": COPY, "domain": DOMAIN}, [["name"], ["area", "domain"], ["name", "area"]]
    ),
    _tool("HassTurnOff", {"name": COPY}, [["name"]]),
    _tool(
        "HassLightSet",
        {"area": COPY, "brightness": {"type": "integer", "x-copy": True, "minimum": 0, "maximum": 100}},
        [["area", "brightness"]],
    ),
    _tool("HassNevermind", {}, [[]]),
]
COMMANDS = [
    "turn on the kitchen light",
    "allume la lumière de l'entrée",
    "打开客厅的灯",
    "شغّل ضوء المطبخ",
    "set the den to 50% not 150 or 5",
    'play "Back\\slash" in the <tool_call>',
    "включи свет на кухне 🌙",
]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    text = COMMANDS * 3 + ['"name": "kitchen light"}', '", "area": "', '{"name": "HassTurnOn", "arguments": {"name": "']
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False, min_frequency=1
    )
    made.train_from_iterator(text, trainer)
    made.add_special_tokens(["<|im_end|>", "<tool_call>", "</tool_call>"])
    made.add_tokens([AddedToken('{"name": "', normalized=False)])
    return made


@pytest.fixture(scope="module")
def vocabulary(tokenizer: Tokenizer) -> Vocabulary:
    return Vocabulary.from_tokenizer(tokenizer, size=tokenizer.get_vocab_size() + 5)


@pytest.fixture(scope="module")
def constrainer(tokenizer: Tokenizer, vocabulary: Vocabulary) -> CallConstrainer:
    return CallConstrainer(TOOLS, vocabulary, [tokenizer.token_to_id("<|im_end|>")])


def _call(name: str, /, **arguments: object) -> str:
    body = json.dumps({"name": name, "arguments": arguments}, ensure_ascii=False)
    return f"<tool_call>\n{body}\n</tool_call>"


def _walk(constraint: CallConstraint, vocabulary: Vocabulary, rng: np.random.Generator) -> list[int]:
    """Generate with random choices among the allowed tokens until an end token is the only choice."""
    tokens: list[int] = []
    while True:
        allowed = np.flatnonzero(constraint.mask())
        assert len(allowed), vocabulary.text(tokens)
        token = int(rng.choice(allowed))
        constraint.advance(token)
        if vocabulary.pieces[token] == b"<|im_end|>":
            return tokens
        tokens.append(token)


@pytest.mark.parametrize("command", COMMANDS)
def test_any_allowed_walk_is_a_legal_call_whose_values_stand_in_the_command(
    constrainer: CallConstrainer, vocabulary: Vocabulary, command: str
) -> None:
    rng = np.random.default_rng(7)
    functions = {tool["function"]["name"]: tool["function"] for tool in TOOLS}
    seen = set()
    for _ in range(40):
        tokens = _walk(constrainer.constraint(command), vocabulary, rng)
        text = vocabulary.text(tokens)
        assert text.startswith("<tool_call>\n") and text.endswith("\n</tool_call>")
        call = json.loads(text.removeprefix("<tool_call>\n").removesuffix("\n</tool_call>"))
        function = functions[call["name"]]
        assert list(call["arguments"]) in function["x-slot-combinations"]
        for key, value in call["arguments"].items():
            schema = function["parameters"]["properties"][key]
            assert value in schema["enum"] if "enum" in schema else str(value) in command
        assert constrainer.constraint(command).accepts(text)
        seen.add(text)
    assert len(seen) >= 5


def test_mask_is_exactly_the_set_of_tokens_that_can_be_advanced(
    constrainer: CallConstrainer, vocabulary: Vocabulary, tokenizer: Tokenizer
) -> None:
    added = set(tokenizer.get_added_tokens_decoder())
    rng = np.random.default_rng(3)
    for command in COMMANDS[2:4]:
        prefix: list[int] = []
        for token in _walk(constrainer.constraint(command), vocabulary, rng):
            constraint = constrainer.constraint(command)
            for earlier in prefix:
                constraint.advance(earlier)
            mask = constraint.mask()
            spellable = np.zeros(vocabulary.size, dtype=bool)
            for candidate, piece in enumerate(vocabulary.pieces):
                other = constrainer.constraint(command)
                try:
                    for earlier in (*prefix, candidate):
                        other.advance(earlier)
                    spellable[candidate] = bool(piece)
                except DataError:
                    pass
            forced = len(np.flatnonzero(mask)) == 1 and set(np.flatnonzero(mask)) <= added
            chosen = [t for t in np.flatnonzero(spellable) if not forced or mask[t]]
            assert np.flatnonzero(mask).tolist() == [t for t in chosen if t not in added or mask[t]]
            prefix.append(token)


def test_the_tokenizers_own_tokens_are_always_allowed(constrainer: CallConstrainer, tokenizer: Tokenizer) -> None:
    for command, text in [
        ("turn on the kitchen light", _call("HassTurnOn", name="kitchen light", area="the kitchen")),
        ("打开客厅的灯", _call("HassTurnOn", area="客厅", domain="light")),
        ("set the den to 50%", _call("HassLightSet", area="den", brightness=50)),
        ("never mind", _call("HassNevermind")),
    ]:
        constraint = constrainer.constraint(command)
        for token in tokenizer.encode(text).ids:
            assert constraint.mask()[token], tokenizer.id_to_token(token)
            constraint.advance(token)
        assert np.flatnonzero(constraint.mask()).tolist() == [tokenizer.token_to_id("<|im_end|>")]


@pytest.mark.parametrize(
    "text",
    [
        _call("HassTurnOn", name="kit"),
        _call("HassTurnOn", name="itchen light"),
        _call("HassTurnOn", name="the light"),
        _call("HassTurnOn", name=""),
        _call("HassTurnOn", name=" light"),
        _call("HassTurnOn", area="kitchen"),
        _call("HassTurnOn", domain="light", area="kitchen"),
        _call("HassTurnOn", area="kitchen", domain="lights"),
        _call("HassTurnOff", area="kitchen"),
        _call("HassTurn", name="light"),
        _call("HassLightSet", area="kitchen", brightness=50),
        _call("HassTurnOff", name="light") + " ",
    ],
)
def test_what_the_tools_or_the_command_do_not_hold_is_refused(constrainer: CallConstrainer, text: str) -> None:
    assert not constrainer.constraint("turn on the kitchen light").accepts(text)


def test_numbers_come_from_the_command_and_keep_the_range() -> None:
    tools = [_tool("Set", {"level": {"type": "integer", "x-copy": True, "minimum": 0, "maximum": 100}}, [["level"]])]
    vocabulary = Vocabulary.from_tokenizer(Tokenizer(models.BPE()))
    constrainer = CallConstrainer(tools, vocabulary, [])
    constraint = constrainer.constraint("from 5 to 050 or ٢٠ not 150, 7.5 or -3")
    assert [n for n in (0, 3, 5, 7, 15, 20, 50, 75, 150, 505) if constraint.accepts(_call("Set", level=n))] == [
        5,
        20,
        50,
    ]


def test_a_command_without_numbers_leaves_only_the_calls_without_numbers() -> None:
    number = {"type": "number", "x-copy": True}
    tools = [
        _tool("Set", {"name": COPY, "level": number}, [["name"], ["name", "level"]]),
        _tool("Go", {"to": number}, [["to"]]),
    ]
    constrainer = CallConstrainer(tools, Vocabulary.from_tokenizer(Tokenizer(models.BPE())), [])
    assert constrainer.constraint("set it").accepts(_call("Set", name="it"))
    assert constrainer.constraint("set it to 7,5").accepts(_call("Set", name="it", level=7.5))
    assert not constrainer.constraint("set it").accepts(_call("Go", to=1))
    with pytest.raises(ConfigError, match="no function"):
        CallConstrainer(tools[1:], constrainer.vocabulary, []).constraint("set it")


def test_schemas_without_combinations_follow_required_and_order() -> None:
    level = {"type": "integer", "minimum": 1, "maximum": 12}
    tools = [_tool("F", {"a": {"type": "boolean"}, "b": level, "c": {"enum": ["x", 2, None]}}, required=["b"])]
    constraint = CallConstrainer(tools, Vocabulary.from_tokenizer(Tokenizer(models.BPE())), []).constraint("go")
    assert constraint.accepts(_call("F", b=1)) and constraint.accepts(_call("F", a=True, b=12, c=None))
    assert not constraint.accepts(_call("F", a=True)) and not constraint.accepts(_call("F", b=13))
    assert not constraint.accepts(_call("F", c="x", b=1))


def test_arrays_hold_one_to_max_items_values() -> None:
    tools = [_tool("F", {"kinds": {"type": "array", "maxItems": 2, "items": DOMAIN}}, [["kinds"]])]
    constraint = CallConstrainer(tools, Vocabulary.from_tokenizer(Tokenizer(models.BPE())), []).constraint("go")
    assert constraint.accepts(_call("F", kinds=["lock"])) and constraint.accepts(_call("F", kinds=["lock", "light"]))
    assert not constraint.accepts(_call("F", kinds=[])) and not constraint.accepts(_call("F", kinds=["lock"] * 3))


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([], "empty"),
        ([{"type": "function"}], r"tools\[0\]"),
        ([_tool("F", {"a": {"type": "string"}})], r"F\.a"),
        ([_tool("F", {"a": {"type": "integer", "minimum": 1}})], r"F\.a"),
        ([_tool("F", {"a": COPY}, [["b"]])], "'b' is not among"),
    ],
)
def test_a_tool_list_that_cannot_be_constrained_is_refused(tools: list, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CallConstrainer(tools, Vocabulary.from_tokenizer(Tokenizer(models.BPE())), []).constraint("a command")


def test_spans_keep_words_and_combining_marks_whole() -> None:
    def spans(text: str) -> set[str]:
        source = spans_of(text)
        units = bytes(u for u in source.units)
        return {units[s:e].decode() for s in source.starts for e in source.ends if s < e}

    assert spans("l'été fin") == {"l", "'", "été", "fin", "l'", "'été", "l'été", "été fin", "'été fin", "l'été fin"}
    assert spans("e\u0301t") == {"e\u0301t"}
    assert spans("开灯") == {"开", "灯", "开灯"}
    assert not numbers_of("no digits", whole=True) and not spans_of("   ")


def test_spans_may_leave_out_what_a_language_writes_onto_the_noun() -> None:
    copy = CallConstrainer([_tool("F", {"a": COPY})], Vocabulary.from_tokenizer(Tokenizer(models.BPE())), [])

    def may(command: str, value: str) -> bool:
        return copy.constraint(command).accepts(_call("F", a=value))

    assert may("أضئ المطبخ", "مطبخ") and may("أضئ المطبخ", "المطبخ") and not may("أضئ المطبخ", "بخ")
    assert may("Timer des Badezimmers", "Badezimmer") and may("im EtageGeschoss", "Etage")
    assert not may("Timer des Badezimmers", "Bade") and not may("as", "a")


def test_listed_values_copied_values_and_numbers_may_share_a_slot() -> None:
    either = {
        "anyOf": [{"type": "string", "enum": ["on", "open"]}, COPY, {"type": "integer", "minimum": -3, "maximum": 12}]
    }
    constrainer = CallConstrainer(
        [_tool("F", {"a": either, "b": {"type": "boolean"}})], Vocabulary.from_tokenizer(Tokenizer(models.BPE())), []
    )
    constraint = constrainer.constraint("the onion opens")
    for value in ("on", "open", "onion", "opens", "the onion", 0, 12, -3):
        assert constraint.accepts(_call("F", a=value)) and constraint.accepts(_call("F", a=value, b=True)), value
    for value in ("oni", "op", "ope", 13, -4, "12"):
        assert not constraint.accepts(_call("F", a=value)), value
    assert constrainer.constraint("  ").accepts(_call("F", a="open"))


@pytest.mark.parametrize(("low", "high"), [(0, 100), (1000, 10000), (-100, 100), (7, 7), (-20, -3), (95, 1203)])
def test_bounded_integers_are_exactly_the_range(low: int, high: int) -> None:
    slot = {"type": "integer", "minimum": low, "maximum": high}
    constraint = CallConstrainer(
        [_tool("F", {"a": slot})], Vocabulary.from_tokenizer(Tokenizer(models.BPE())), []
    ).constraint("go")
    probes = {*range(-130, 130), *range(high - 60, high + 60), *range(low - 60, low + 60), 99999}
    assert [n for n in sorted(probes) if constraint.accepts(_call("F", a=n))] == [
        n for n in sorted(probes) if low <= n <= high
    ]
    assert not constraint.accepts(_call("F", a=float(high))) and not constraint.accepts(
        _call("F", a=7).replace("7", "007")
    )


def test_bounded_numbers_take_one_decimal_within_the_range() -> None:
    slot = {"type": "number", "minimum": -2, "maximum": 30.0}
    constraint = CallConstrainer(
        [_tool("F", {"a": slot})], Vocabulary.from_tokenizer(Tokenizer(models.BPE())), []
    ).constraint("go")
    assert all(constraint.accepts(_call("F", a=n)) for n in (-2, -1.5, 0, 0.5, 20.5, 29.9, 30, 7.0))
    assert not any(constraint.accepts(_call("F", a=n)) for n in (-2.5, 30.5, 31, 20.55))


def test_the_prefix_after_a_think_block_comes_first(vocabulary: Vocabulary) -> None:
    constrainer = CallConstrainer(TOOLS, vocabulary, [], prefix="\n\n")
    assert constrainer.constraint("stop").accepts("\n\n" + _call("HassNevermind"))
    assert not constrainer.constraint("stop").accepts(_call("HassNevermind"))
