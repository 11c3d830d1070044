"""The ``tokenizer`` stage: train on the corpus and the synthesized sets, and measure per language.

Input: the artifacts ``corpus`` and ``synthesize``. Output: ``tokenizer.json``, what goes with it
(``tokenizer_config.json``, ``chat_template.jinja``, ``special_tokens.json``), and ``fertility.json``.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

from smolforge.store import StageContext, StageOutcome, read_json, write_atomic, write_json
from smolforge.tokens.config import TokenizerConfig
from smolforge.tokens.fertility import copied_values, copy_share, fertility, parity
from smolforge.tokens.inputs import corpus_texts, input_folder, read_jsonl, rendered, up_to
from smolforge.tokens.special import CHAT_TOKENS, END_OF_TEXT, IM_END, IM_START, PAD, SPECIAL_TOKENS
from smolforge.tokens.template import ChatCodec, template_source, whole_stretches
from smolforge.tokens.tokenizer import train_tokenizer

MEASURED_BYTES = 50_000  # of held-out text per language
MEASURED_ROWS = 1500  # of conversations, for the share of copied values


def run(config: TokenizerConfig, context: StageContext) -> StageOutcome:
    """Train, write and measure; the same inputs give the same bytes."""
    corpus, synthesized = input_folder(context, "corpus"), input_folder(context, "synthesize")
    context.progress.start(3, "steps")
    texts = {
        language: up_to(rows, config.bytes_per_language)
        for language, rows in corpus_texts(corpus / "kept", config.languages).items()
    }
    chats, commands = _chats(config, synthesized)
    aligned = _aligned(corpus)
    context.progress.update(1)
    tokenizer = train_tokenizer(
        texts, chats, config, tools=read_json(synthesized / "tools.json"), commands=commands,
        aligned={key: [row[key] for row in aligned if key in row] for key in texts if any(key in r for r in aligned)},
    )  # fmt: skip
    codec = ChatCodec(tokenizer)
    write_atomic(context.work / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    write_tokenizer_side_files(context.work, codec, config)
    context.progress.update(2)
    report = _measure(codec, config, corpus, synthesized, aligned)
    write_json(context.work / "fertility.json", report)
    context.progress.update(3)
    sample = {language: sum(len(text.encode()) for text in rows) for language, rows in texts.items()}
    counts = {"vocab_size": codec.vocab_size, "sample_bytes": sample, "chats": len(chats), "commands": len(commands)}
    metrics = {f"{key}/{lang}": value for lang, row in report.items() for key, value in row.items() if key != "texts"}
    return StageOutcome(counts=counts, metrics=metrics)


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


def _measure(
    codec: ChatCodec, config: TokenizerConfig, corpus: Path, synthesized: Path, aligned: list[dict[str, str]]
) -> dict[str, dict[str, float]]:
    folder = corpus / ("held_out" if any((corpus / "held_out").glob("part-*.parquet")) else "kept")
    texts = {name: up_to(rows, MEASURED_BYTES) for name, rows in corpus_texts(folder, None).items()}
    report = fertility(codec, texts)
    rows = [row for name in config.sets for row in islice(read_jsonl(synthesized / f"{name}.jsonl"), MEASURED_ROWS)]
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
            "ids": tokens,
            "tokens": {
                token: {"id": i, "ggml_type": "control" if token in hidden else "user_defined"}
                for token, i in {**tokens, **whole}.items()
            },
        },
    )
