"""The ``tokenizer`` stage: train on the corpus and the synthesized sets, and measure per language.

Input: the artifact ``corpus``, and ``synthesize`` where sets are named. Output: ``tokenizer.json``, what goes with it
(``tokenizer_config.json``, ``chat_template.jinja``, ``special_tokens.json``), and ``fertility.json``.
"""

from __future__ import annotations

from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

from smolforge.store import StageContext, StageOutcome, read_json, write_atomic, write_json
from smolforge.tokens.compare import compare, open_encoder
from smolforge.tokens.config import TokenizerConfig
from smolforge.tokens.epoch_caps import unimax
from smolforge.tokens.fertility import copied_values, copy_share, fertility, parity
from smolforge.tokens.inputs import corpus_rows, input_folder, read_jsonl, rendered, texts_by_language, up_to
from smolforge.tokens.parity import Attempt
from smolforge.tokens.special import CHAT_TOKENS, END_OF_TEXT, IM_END, IM_START, PAD, SPECIAL_TOKENS
from smolforge.tokens.template import ChatCodec, template_source, whole_stretches
from smolforge.tokens.tokenizer import train_tokenizer

MEASURED_BYTES = 50_000  # of held-out text per language
MEASURED_ROWS = 1500  # of conversations, for the share of copied values


def run(config: TokenizerConfig, context: StageContext) -> StageOutcome:
    """Train, write and measure; the same inputs give the same bytes."""
    corpus = input_folder(context, "corpus")
    synthesized = input_folder(context, "synthesize") if config.sets or config.document_sets else None
    context.progress.start(3, "steps")
    texts = _sample(config, corpus / "kept")
    chats, commands = _chats(config, synthesized) if synthesized else ([], [])
    aligned = _aligned(corpus)
    # parity is learned on one half of the aligned sentences and measured on the other
    learned, measured = (aligned[::2], aligned[1::2]) if config.balance == "parity" else (aligned, aligned)
    attempts: list[Attempt] = []
    context.progress.update(1)
    tokenizer = train_tokenizer(
        texts, chats, config, tools=read_json(synthesized / "tools.json") if synthesized else [], commands=commands,
        aligned=_complete(learned, list(texts)), attempts=attempts,
    )  # fmt: skip
    codec = ChatCodec(tokenizer)
    write_atomic(context.work / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    write_tokenizer_side_files(context.work, codec, config)
    context.progress.update(2)
    report = _measure(codec, config, corpus, synthesized, measured)
    write_json(context.work / "fertility.json", report)
    if config.compare:
        encoders = {"this": codec, **{name: open_encoder(name) for name in config.compare}}
        measured_texts = _measured_texts(config, corpus)
        write_json(context.work / "comparison.json", compare(encoders, measured_texts, measured))
    if attempts:
        write_json(context.work / "parity.json", _parity_report(config, attempts, report, context))
    context.progress.update(3)
    sample = {language: sum(len(text.encode()) for text in rows) for language, rows in texts.items()}
    counts = {"vocab_size": codec.vocab_size, "sample_bytes": sample, "chats": len(chats), "commands": len(commands)}
    metrics = {f"{key}/{lang}": value for lang, row in report.items() for key, value in row.items() if key != "texts"}
    return StageOutcome(counts=counts, metrics=metrics)


def _sample(config: TokenizerConfig, kept: Path) -> dict[str, list[str]]:
    """Return the text to learn from: a budget a language, or one budget shared out so that small languages are not
    drowned (UniMax)."""
    if config.sample_bytes is None:
        return texts_by_language(kept, config.languages, config.bytes_per_language, config.normalization)
    sizes: dict[str, float] = {}
    for row in corpus_rows(kept, config.languages):
        sizes[row.language] = sizes.get(row.language, 0) + len(row.text.encode())
    parts = unimax(sizes, config.sample_bytes, config.sample_epochs)
    most = int(max(parts.values(), default=0))
    texts = texts_by_language(kept, config.languages, most, config.normalization)
    filled = {name: rows for name, rows in texts.items() if any(rows)}
    return {name: up_to(chain.from_iterable(repeat(rows)), int(parts[name])) for name, rows in filled.items()}


def _complete(aligned: list[dict[str, str]], languages: list[str]) -> dict[str, list[str]]:
    """Return the sentences that every language with parallel text has, by language."""
    shared = [name for name in languages if any(name in row for row in aligned)]
    rows = [row for row in aligned if all(name in row for name in shared)]
    return {name: [row[name] for row in rows] for name in shared} if rows else {}


def _parity_report(
    config: TokenizerConfig, attempts: list[Attempt], report: dict[str, dict[str, float]], context: StageContext
) -> dict[str, Any]:
    """Say what parity cost and brought: plain BPE of the same size, what was tried, and the result on other text."""
    after = {name: row["parity"] for name, row in report.items() if "parity" in row}
    worst = max(after.values(), default=1.0)
    if min(attempt.worst for attempt in attempts) > config.parity_limit:
        context.progress.note(
            f"parity_limit {config.parity_limit:g} is out of reach: the worst language takes {worst:.2f} × English; "
            "give it more text, or a larger vocabulary"
        )
    tried = [attempt.as_json() for attempt in attempts]
    return {"limit": config.parity_limit, "plain": tried[0], "tried": tried, "measured": after, "worst": worst}


def _chats(config: TokenizerConfig, folder: Path) -> tuple[list[str], list[tuple[str, list[str]]]]:
    """Return rendered conversations and documents, and (command, values copied from it) of every call."""
    chats: list[str] = []
    commands: list[tuple[str, list[str]]] = []
    for name in config.sets:
        rows = list(read_jsonl(folder / f"{name}.jsonl"))
        chats += up_to(rendered(rows), config.bytes_per_set)
        for row in rows:
            command, values = copied_values(row)
            if row["messages"][-1].get("tool_calls"):
                commands.append((command, values))
    for name in config.document_sets:
        chats += up_to((row["text"] for row in read_jsonl(folder / f"{name}.jsonl")), config.bytes_per_set)
    return chats, commands


def _aligned(corpus: Path) -> list[dict[str, str]]:
    path = corpus / "aligned.jsonl"
    return list(read_jsonl(path)) if path.is_file() else []


def _measured_texts(config: TokenizerConfig, corpus: Path) -> dict[str, list[str]]:
    folder = corpus / ("held_out" if any((corpus / "held_out").glob("part-*.parquet")) else "kept")
    return texts_by_language(folder, None, MEASURED_BYTES, config.normalization)


def _measure(
    codec: ChatCodec, config: TokenizerConfig, corpus: Path, synthesized: Path | None, aligned: list[dict[str, str]]
) -> dict[str, dict[str, float]]:
    report = fertility(codec, _measured_texts(config, corpus))
    files = [synthesized / f"{name}.jsonl" for name in config.sets] if synthesized else []
    rows = [row for file in files for row in islice(read_jsonl(file), MEASURED_ROWS)]
    for key, values in (("parity", parity(codec, aligned)), ("copied_alike", copy_share(codec, rows))):
        for language, value in values.items():
            report.setdefault(language, {})[key] = value
    return report


def write_tokenizer_side_files(folder: Path, codec: ChatCodec, config: TokenizerConfig) -> None:
    """Write what transformers and the exporters read beside ``tokenizer.json``."""
    write_atomic(folder / "chat_template.jinja", template_source().encode())
    hugging_face: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": IM_END,
        "pad_token": PAD,
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],
    }
    write_json(folder / "tokenizer_config.json", hugging_face)
    # think and tool tags are read by chat parsers, so a GGUF must not hide them from the text as control tokens
    shown = set(CHAT_TOKENS) - {IM_START, IM_END}
    tokens = {token: codec.special[token] for token in SPECIAL_TOKENS}
    whole = whole_stretches(codec.tokenizer)
    hidden = {text for text in whole if IM_END in text} | set(SPECIAL_TOKENS) - shown
    write_json(
        folder / "special_tokens.json",
        {
            "ggml_model": "gpt2",
            "ggml_pre": config.pre_tokenizer,
            "add_bos_token": False,
            "eos": codec.special[IM_END],
            "end_of_text": codec.special[END_OF_TEXT],
            "pad": codec.special[PAD],
            "vocab_size": codec.vocab_size,
            **({"normalization": config.normalization} if config.normalization else {}),
            "ids": tokens,
            "tokens": {
                token: {"id": i, "ggml_type": "control" if token in hidden else "user_defined"}
                for token, i in {**tokens, **whole}.items()
            },
        },
    )
