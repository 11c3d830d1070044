"""The evaluate stage on a tiny random model: every part is measured, answers are kept, the constraint holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from smolforge.errors import ConfigError, DataError
from smolforge.evaluate import calls, reasoning
from smolforge.evaluate.config import CallsConfig, EvaluateConfig, NeedleConfig, ReasoningConfig, TextConfig
from smolforge.evaluate.items import per_language, read_items, subsample
from smolforge.evaluate.scoring import ToolIndex
from smolforge.evaluate.stage import run
from smolforge.store import Artifact, Manifest, StageContext, write_json
from smolforge.store.artifact import finish
from smolforge.tasks.chat import ChatModel
from smolforge.tasks.fixed_call import CallModel
from smolforge.tokens.template import ChatCodec
from tests.tasks.small_chat import PlaybackGenerator, small_tokenizer

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": name,
            "parameters": {
                "properties": {
                    "name": {"type": "string", "x-copy": True},
                    "level": {"type": "integer", "minimum": 0, "maximum": 100},
                },
                "x-slot-combinations": combinations,
            },
        },
    }
    for name, combinations in (("TurnOn", [["name"]]), ("Dim", [["name", "level"], ["level"]]))
]
COMMANDS = [
    ("en", "turn on the kitchen light", "TurnOn", {"name": "kitchen light"}),
    ("en", "dim the hall to 30", "Dim", {"name": "hall", "level": 30}),
    ("en", "dim to 100 percent", "Dim", {"level": 100}),
    ("fr", "allume la lampe", "TurnOn", {"name": "lampe"}),
    ("fr", "baisse l'entrée à 5", "Dim", {"name": "entrée", "level": 5}),
]


def command_rows(mode: str = "no_think") -> list[dict[str, Any]]:
    return [
        {
            "id": f"c/{i}",
            "messages": [
                {"role": "user", "content": text},
                {"role": "assistant", "content": "", "tool_calls": [{"name": name, "arguments": arguments}]},
            ],
            "mode": "think" if i == 4 else mode,
            "language": language,
            "source": "test",
            "group": str(i),
            "meta": {},
        }
        for i, (language, text, name, arguments) in enumerate(COMMANDS)
    ]


def problem_rows() -> list[dict[str, Any]]:
    return [
        {
            "id": f"r/{i}/{mode}",
            "messages": [{"role": "user", "content": f"{i} + 1 ="}, {"role": "assistant", "content": str(i + 1)}],
            "mode": mode,
            "language": "en",
            "source": "sums",
        }
        for i in range(6)
        for mode in ("think", "no_think")
    ]


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Artifact]:
    """Finished stages of a run whose model is random and tiny."""
    pytest.importorskip("pyarrow")
    torch = pytest.importorskip("torch")
    from smolforge.model.checkpoint import save_pretrained
    from smolforge.model.config import ModelConfig
    from smolforge.model.decoder import Decoder
    from smolforge.model.initialise import initialise

    folder = tmp_path_factory.mktemp("run")
    codec = ChatCodec(small_tokenizer())
    torch.manual_seed(0)
    shape = ModelConfig(
        vocab_size=codec.vocab_size + 6, hidden_size=32, intermediate_size=48, n_layers=2, n_heads=2, n_kv_heads=1,
        max_position_embeddings=160,
    )  # fmt: skip
    made: dict[str, Artifact] = {}

    def stage(name: str, fill: Any, config: dict[str, Any] | None = None) -> None:
        work = folder / "work" / name
        work.mkdir(parents=True)
        fill(work)
        made[name] = finish(work, folder / name, Manifest(name, "0" * 16, "1", config or {}, {}, 1))

    def model(work: Path) -> None:
        save_pretrained(initialise(Decoder(shape), 1), work / "model")

    def sets(work: Path) -> None:
        write_json(work / "tools.json", TOOLS)
        for name in ("commands_seen", "commands_templates", "commands_values"):
            write_rows(work / f"{name}.jsonl", command_rows())
        write_rows(work / "reasoning_test.jsonl", problem_rows())
        needles = [
            {"doc_id": f"n/{i}", "text": f"a=hall\n{'kitchen ' * size}\na=", "language": "en",
             "meta": json.dumps({"answer": "hall", "characters": size * 8})}
            for i, size in enumerate((4, 4, 120, 120, 300))
        ]  # fmt: skip
        write_rows(work / "needle_test.docs.jsonl", needles)

    def corpus(work: Path) -> None:
        import pyarrow as pa
        from pyarrow import parquet

        for name, texts in (("kept", ["the kitchen light is on"] * 20), ("held_out", ["turn on the light"] * 4)):
            (work / name).mkdir()
            rows = {"doc_id": [str(i) for i in range(len(texts))], "text": texts, "language": ["en"] * len(texts)}
            parquet.write_table(pa.table(rows), work / name / "part-0.parquet")

    stage("synthesize", sets)
    stage("corpus", corpus)
    stage("tokenizer", lambda work: small_tokenizer().save(str(work / "tokenizer.json")))
    for name in ("pretrain", "long_context", "sft", "merge"):
        stage(name, model, {"sequence_length": 64, "phases": [{"sequence_length": 96}, {"sequence_length": None}]})
    return made


CONFIG = EvaluateConfig(
    compare=("sft",),
    calls=CallsConfig(max_tokens=80, thinking_budget=16),
    reasoning=ReasoningConfig(max_tokens=24),
    text=TextConfig(window=16),
    needle=NeedleConfig(),
)


def test_every_part_is_measured_and_every_answer_kept(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    outcome = run(CONFIG, StageContext(tmp_path, artifacts, 3))
    results = json.loads((tmp_path / "results.json").read_text())
    for name in CONFIG.calls.sets if CONFIG.calls else ():
        row = results["calls"]["merge"][name]
        assert row["unreachable"] == 0 and set(row["constrained"]["languages"]) == {"en", "fr"}
        assert row["constrained"]["json_parses"]["hits"] == row["constrained"]["exact"]["count"] == 5
        assert row["free"]["errors"]["no_call"] == 5 and row["constrained"]["errors"]["no_call"] == 0
        assert sum(row["constrained"]["errors"].values()) + row["constrained"]["exact"]["hits"] == 5
        kept = [json.loads(line) for line in (tmp_path / f"answers/merge.{name}.constrained.jsonl").open()]
        assert len(kept) == 5 and all(answer["json_parses"] for answer in kept)
    assert set(results["calls"]["sft"]["commands_seen"]) == {"free", "unreachable"}
    assert results["reasoning"]["think"]["exact"]["count"] == 6 == results["reasoning"]["difference"]["count"]
    text = results["text"]["en"]
    assert text["best"] == "pretrain" and 0 < text["xz"]["with_context"] < text["xz"]["alone"]
    assert 1 < text["models"]["pretrain"]["value"] < 30
    needle = results["needle"]["long_context"]
    assert (needle["window"], needle["left_out"]) == (96, 1)
    assert [row["recall"]["count"] for row in needle["within"]] == [2]
    assert (
        [row["recall"]["count"] for row in needle["beyond_yarn"]]
        == [2]
        == [row["recall"]["count"] for row in needle["beyond_plain"]]
    )
    assert {"exact.merge.commands_seen.constrained", "reasoning.think", "bits_per_byte.en"} <= set(outcome.metrics)


def test_the_same_run_gives_the_same_bytes_and_leftovers_do_not_matter(
    artifacts: dict[str, Artifact], tmp_path: Path
) -> None:
    config = CONFIG.model_copy(update={"text": None, "compare": ()})
    contents = []
    for name in ("a", "b"):
        work = tmp_path / name
        (work / "answers").mkdir(parents=True)
        if name == "b":
            (work / "answers" / "stale.jsonl").write_text("{}")
        run(config, StageContext(work, artifacts, 3))
        contents.append({str(p.relative_to(work)): p.read_bytes() for p in sorted(work.rglob("*")) if p.is_file()})
    assert contents[0] == contents[1]


def test_parts_without_inputs_or_configuration_are_left_out(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    inputs = {name: artifacts[name] for name in ("merge", "tokenizer", "synthesize")}
    config = CONFIG.model_copy(update={"compare": (), "reasoning": None})
    run(config, StageContext(tmp_path, inputs, 3))
    results = json.loads((tmp_path / "results.json").read_text())
    assert set(results) == {"subject", "calls", "needle"} and results["needle"] == {}
    with pytest.raises(ConfigError, match=r"no stage 'merg'.*did you mean 'merge'"):
        run(config.model_copy(update={"subject": "merg"}), StageContext(tmp_path, inputs, 3))


def items_on_disk(tmp_path: Path) -> Path:
    path = tmp_path / "commands.jsonl"
    write_rows(path, command_rows())
    return path


def test_constrained_decoding_is_run_only_where_the_free_answer_is_not_legal(tmp_path: Path) -> None:
    items = read_items(items_on_disk(tmp_path))[:4]
    codec = ChatCodec(small_tokenizer())
    right = json.dumps({"name": "TurnOn", "arguments": {"name": "kitchen light"}})

    def answer(prompt: str) -> str:
        return f"<tool_call>\n{right}\n</tool_call>"

    generator = PlaybackGenerator(codec, answer)
    model = CallModel(ChatModel(generator, codec), TOOLS)
    scored = calls.answer_calls(model, items, CallsConfig(), batch=3)
    assert generator.asked == 4 + 3
    assert [row.error for row in scored["free"]] == [None, "wrong_function", "wrong_function", "wrong_copied_value"]
    assert scored["constrained"][0].answer.answer.tokens == scored["free"][0].answer.answer.tokens
    summary = calls.summarise(scored["free"])
    assert summary["exact"]["hits"] == 1 and summary["languages"]["en"]["hits"] == 1
    assert summary["errors"]["wrong_function"] == 2 and summary["mode_obeyed"]["no_think"]["hits"] == 4


def test_thinking_that_helps_is_seen_as_a_paired_difference(tmp_path: Path) -> None:
    path = tmp_path / "reasoning.jsonl"
    write_rows(path, problem_rows())
    problems = reasoning.unique_problems(read_items(path))
    assert len(problems) == 6
    codec = ChatCodec(small_tokenizer())

    def answer(prompt: str) -> str:
        number = int(prompt.split("user\n")[1].split(" + ")[0])
        return "0" if prompt.endswith("</think>\n") else f"<think>\nplus one\n</think>\n{number + 1}"

    model = ChatModel(PlaybackGenerator(codec, answer), codec)
    rows, summary = reasoning.compare_modes(model, problems, ToolIndex([]), ReasoningConfig(), batch=4)
    assert summary["think"]["exact"]["hits"] == 6 and summary["no_think"]["exact"]["hits"] == 0
    assert summary["difference"]["difference"] == 1.0 and summary["difference"]["p_value"] == pytest.approx(2 / 2**6)
    assert summary["think"]["tokens_per_answer"] > summary["no_think"]["tokens_per_answer"]
    assert len(rows) == 12 and all(row["mode_obeyed"] for row in rows)


def test_a_smaller_subsample_is_part_of_a_larger_one(tmp_path: Path) -> None:
    items = read_items(items_on_disk(tmp_path))
    two, three = ({item.id for item in subsample(items, count, 7)} for count in (2, 3))
    assert len(two) == 2 and two < three
    assert [len(per_language(items, 1, 7)), len(per_language(items, None, 7))] == [2, 5]


@pytest.mark.parametrize("line", ["{", '{"id": 1}', '{"id": "a", "language": "en", "mode": "think", "messages": []}'])
def test_a_bad_row_is_named_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "set.jsonl"
    path.write_text(json.dumps(command_rows()[0]) + "\n" + line + "\n")
    with pytest.raises(DataError, match=r"set\.jsonl:2"):
        read_items(path)
    with pytest.raises(DataError, match="no such file"):
        read_items(tmp_path / "other.jsonl")
