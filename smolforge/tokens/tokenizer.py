"""Tokenizer training: text samples become a byte-level BPE that Hugging Face and llama.cpp load alike.

Input is texts by language, rendered conversations and scaffold strings; output is a ``tokenizers.Tokenizer``. Merges
are learned in finer pieces than the split rule used afterwards: the rule is a standard one and copied words stay equal.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smolforge.errors import ConfigError
from smolforge.formats.pre_tokenizers import IGNORE_MERGES, SPLITS, byte_alphabet
from smolforge.tokens.config import TokenizerConfig
from smolforge.tokens.parity import Attempt, learn_with_parity
from smolforge.tokens.special import SPECIAL_TOKENS, control_tokens

if TYPE_CHECKING:
    from tokenizers import Tokenizer

COPIED_SHARE = 0.05  # a word that stands in values more often than this share of its uses counts as copied
_WORD = re.compile(r" ([^\W\d_]+)")
TEMPLATE_SCAFFOLD = (
    "system\n## Metadata\n\nReasoning Mode: ", "/think", "/no_think", "user\n", "assistant\n", '\n{"name": "',
    '", "arguments": ',
)  # fmt: skip
CALL_ENDS = ('"}}\n', "}}\n")
# With ``whole_turns``: what stands before and behind a user's words, and behind a call's arguments, as one token each.
_SYSTEM = "<|im_start|>system\n## Metadata\n\nReasoning Mode: {}<|im_end|>\n<|im_start|>user\n"
_ANSWER = "<|im_end|>\n<|im_start|>assistant\n"
WHOLE_TURNS = (
    _SYSTEM.format("/think"), _SYSTEM.format("/no_think"), _ANSWER, f"{_ANSWER}<think>\n\n</think>\n",
    "}\n</tool_call>",
)  # fmt: skip


_ALPHABET = byte_alphabet()


def to_byte_level(text: str) -> str:
    """Spell ``text`` as a byte-level vocabulary does."""
    return "".join(_ALPHABET[byte] for byte in text.encode())


def fine_split(config: TokenizerConfig) -> str:
    """The expression that keeps apart what merges must not join."""
    letters = r"[\p{L}\p{M}]+"
    parts = [r"\p{Han}" if config.han == "characters" else r"\p{Han}+"]
    space = "" if config.spaces == "apart" else " ?"
    parts += [rf"(?<![\p{{L}}\p{{M}}]){re.escape(prefix)}(?=\p{{L}}{{2}})" for prefix in config.prefixes if not space]
    parts += [rf"{space}{letters}", r"\p{N}" if config.digits == "single" else r"\p{N}{1,3}"]
    return "|".join([*parts, rf"{space}[^\s\p{{L}}\p{{M}}\p{{N}}]+", r"[\r\n]+", r"[^\S\r\n]+"])


def tool_scaffold(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """Names and JSON pieces of calls to ``tools`` (the ``tools.json`` shape), sorted.

    A piece reaches from the end of one value to the start of the next, so a call takes one token an argument beside
    the values.
    """
    pieces = set()
    for tool in tools:
        function = tool.get("function", tool)
        pieces.add(function["name"])
        for name, schema in function.get("parameters", {}).get("properties", {}).items():
            for alternative in schema.get("anyOf", [schema]):
                opening = {"string": ': "', "array": ': ["'}.get(alternative.get("type", "string"), ": ")
                pieces |= {before + json.dumps(name, ensure_ascii=False) + opening for before in ("{", ", ", '", ')}
    return sorted(pieces)


def whole_turns(tools: Iterable[Mapping[str, Any]]) -> list[str]:
    """Stretches of the template that can be one token each, control tokens and all, with the calls to ``tools``."""
    names = sorted({tool.get("function", tool)["name"] for tool in tools})
    calls = [f'<tool_call>\n{{"name": {json.dumps(name, ensure_ascii=False)}, "arguments": ' for name in names]
    return [*WHOLE_TURNS, *calls]


def train_tokenizer(
    texts: Mapping[str, Sequence[str]],
    chats: Sequence[str],
    config: TokenizerConfig,
    *,
    tools: Iterable[Mapping[str, Any]] = (),
    commands: Iterable[tuple[str, Sequence[str]]] = (),
    aligned: Mapping[str, Sequence[str]] | None = None,
    attempts: list[Attempt] | None = None,
) -> Tokenizer:
    """Train on ``texts`` by language and on rendered ``chats``; deterministic.

    ``commands``: (text, values copied from it), which tell words that may get a token with their space from words
    that are copied. ``aligned``: the same sentences by language, for ``balance: parity``, whose trials are added to
    ``attempts``. ConfigError when the vocabulary cannot hold the scaffold.
    """
    ends = ('"}',) if config.whole_turns else CALL_ENDS
    scaffold = list(dict.fromkeys([*config.scaffold, *TEMPLATE_SCAFFOLD, *ends]))
    if config.scaffold_from_tools:
        scaffold = list(dict.fromkeys([*scaffold, *tool_scaffold(tools)]))
    turns = whole_turns(tools) if config.whole_turns else []
    fixed = len(control_tokens(config.reserved)) + len(_ALPHABET) + len(scaffold) + len(turns)
    if config.vocab_size < fixed + 64:
        raise ConfigError(
            f"vocab_size {config.vocab_size}: {fixed} ids are taken by bytes, special tokens and scaffold"
        )
    cut = re.compile("|".join(map(re.escape, sorted([*SPECIAL_TOKENS, *turns, *scaffold], key=len, reverse=True))))
    samples = {name: list(rows) for name, rows in texts.items()}
    samples["chats"] = [piece for chat in chats for piece in cut.split(chat) if piece]
    merges = _learn_merges(samples, config, aligned or {}, attempts)
    words = _space_words(samples, list(commands)) if config.spaces == "apart" else []
    return _assemble(merges, words, scaffold, turns, config)


def _split_sequence(expressions: Sequence[str]) -> Any:
    from tokenizers import Regex, pre_tokenizers

    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in expressions]
    return pre_tokenizers.Sequence([*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def _learn_merges(
    samples: Mapping[str, Sequence[str]], config: TokenizerConfig, aligned: Mapping[str, Sequence[str]],
    attempts: list[Attempt] | None,
) -> list[tuple[str, str]]:  # fmt: skip
    """Learn as many merges as the vocabulary could hold; ``_assemble`` takes the first ones."""
    from tokenizers import Tokenizer, models, trainers

    def make() -> Tokenizer:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = _split_sequence([*SPLITS[config.pre_tokenizer], fine_split(config)])
        return tokenizer

    def plain() -> Tokenizer:
        tokenizer = make()
        trainer = trainers.BpeTrainer(
            vocab_size=config.vocab_size, min_frequency=2, show_progress=False, initial_alphabet=_ALPHABET,
            max_token_length=config.max_token_length,
        )  # fmt: skip
        tokenizer.train_from_iterator((text for rows in samples.values() for text in rows), trainer)
        return tokenizer

    if config.balance == "parity":
        if not hasattr(trainers, "ParityBpeTrainer"):
            raise ConfigError("balance: parity needs tokenizers 0.23.3 or newer")
        tokenizer, trials = learn_with_parity(
            make, samples, aligned, merges=config.vocab_size, limit=config.parity_limit, plain=plain,
            max_token_length=config.max_token_length,
        )  # fmt: skip
        if attempts is not None:
            attempts += trials
    else:
        tokenizer = plain()
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    return [(left, right) for left, right in merges if len(left + right) <= config.max_token_length]


def _space_words(samples: Mapping[str, Sequence[str]], commands: Sequence[tuple[str, Sequence[str]]]) -> list[str]:
    """Words by how often they follow a space in commands, without those that calls copy; without commands, in all text.

    Only words of commands: a word that is common elsewhere may well be a value nobody has said yet.
    """
    counts: Counter[str] = Counter()
    copied: Counter[str] = Counter()
    for text in (text for text, _ in commands) if commands else (text for rows in samples.values() for text in rows):
        counts.update(_WORD.findall(" " + text))
    for _, values in commands:
        copied.update(word for value in values for word in _WORD.findall(" " + value))
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [word for word, n in ranked if n > 1 and copied[word] <= COPIED_SHARE * n]


def _assemble(
    merges: Sequence[tuple[str, str]], words: Sequence[str], scaffold: Sequence[str], turns: Sequence[str],
    config: TokenizerConfig,
) -> Tokenizer:  # fmt: skip
    """Fill the vocabulary: special tokens, bytes, merges, words with their space, scaffold, whole turns; exactly
    ``vocab_size`` ids where the samples hold enough to learn."""
    from tokenizers import AddedToken, Tokenizer

    whole = config.pre_tokenizer in IGNORE_MERGES
    controls = control_tokens(config.reserved)
    base = [*controls, *_ALPHABET]
    room = config.vocab_size - len(turns)
    used = min(len(merges), room - len(base) - len(scaffold) - config.space_words * bool(words))
    while True:
        kept = merges[:used]
        tokens = list(dict.fromkeys([*base, *(left + right for left, right in kept)]))
        known = set(tokens)
        spaced = [w for w in map(to_byte_level, words) if w in known and _ALPHABET[32] + w not in known]
        spaced = spaced[: config.space_words]
        strings = [piece for piece in scaffold if piece not in known]
        missing = room - len(tokens) - len(spaced) - len(strings)
        if missing <= 0 or used == len(merges):
            break
        used = min(len(merges), used + missing)
    spaced = spaced[: max(0, room - len(tokens) - len(strings))]
    tokens += [_ALPHABET[32] + word for word in spaced]
    kept = [*kept, *([] if whole else [(_ALPHABET[32], word) for word in spaced])]
    tokenizer = Tokenizer.from_str(json.dumps(_model_json(tokens, kept, whole)))
    tokenizer.pre_tokenizer = _split_sequence(SPLITS[config.pre_tokenizer])
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in controls])
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in strings])
    tokenizer.add_special_tokens([AddedToken(turn, special=True, normalized=False) for turn in turns])
    return tokenizer


def _model_json(tokens: Sequence[str], merges: Sequence[tuple[str, str]], whole: bool) -> dict[str, Any]:
    """The smallest ``tokenizer.json``: a BPE model and the byte-level decoder."""
    model = {
        "type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
        "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": whole,
        "vocab": {token: i for i, token in enumerate(tokens)}, "merges": [list(pair) for pair in merges],
    }  # fmt: skip
    decoder = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": None,
        "pre_tokenizer": None, "post_processor": None, "decoder": decoder, "model": model,
    }  # fmt: skip
