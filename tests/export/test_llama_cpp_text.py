"""The text side of our GGUF files in llama.cpp itself: it cuts text into our tokens and renders our template alike."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")
xllamacpp = pytest.importorskip("xllamacpp")

from tokenizers import Tokenizer  # noqa: E402

from smolforge.export import gguf, quantize  # noqa: E402
from smolforge.export.llamacpp import start_server  # noqa: E402
from smolforge.export.tokenizer import gguf_tokenizer  # noqa: E402
from smolforge.formats.gguf_names import expected_shapes  # noqa: E402
from smolforge.model.checkpoint import load_pretrained  # noqa: E402
from smolforge.store import Artifact  # noqa: E402
from smolforge.tokens.template import render  # noqa: E402

TEXTS = [
    "Allume la lumière du salon, s'il te plaît !",
    "Mach das Licht um 17:45 aus.",
    "打开客厅的灯，谢谢",
    "أطفئ الضوء في المطبخ",
    "Включи свет  на кухне\n\n\tи всё",
    "x = [1234567]; it's WE'LL i'M",
    "<|im_start|>user\nhi<|im_end|>\n<think>\n\n</think>\n<tool_call>",
    "  trailing  \n ",
    "👩‍👩‍👧 e\u0301",
]
TOOL = {
    "type": "function",
    "function": {
        "name": "HassTurnOn",
        "description": "Turns on",
        "parameters": {"type": "object", "properties": {"area": {"type": "string"}}},
    },
}


@pytest.fixture(scope="module")
def server(inputs: dict[str, Artifact], tmp_path_factory: pytest.TempPathFactory) -> Any:
    decoder = load_pretrained(inputs["merge"].path / "model")
    path: Path = tmp_path_factory.mktemp("gguf") / "m.gguf"
    data = gguf_tokenizer(inputs["tokenizer"].path, decoder.config.vocab_size)
    plan = quantize.plan_types(expected_shapes(gguf.flat(decoder.config)), "F16", "F16")
    gguf.write_model(path, decoder, gguf.header(decoder.config, data, "F16", "t"), plan)
    return start_server(xllamacpp, str(path), 256)


def post(server: Any, route: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        server.listening_address + route, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=600) as response:
        return json.load(response)


def test_llama_cpp_cuts_text_into_our_tokens(server: Any, inputs: dict[str, Artifact]) -> None:
    tokenizer = Tokenizer.from_file(str(inputs["tokenizer"].path / "tokenizer.json"))
    for text in TEXTS:
        theirs = post(server, "/tokenize", {"content": text, "add_special": False, "parse_special": True})["tokens"]
        assert theirs == tokenizer.encode(text, add_special_tokens=False).ids, text


@pytest.mark.parametrize("mode", ["think", "no_think"])
@pytest.mark.parametrize("tools", [None, [TOOL]])
def test_llama_cpp_renders_our_template_alike(server: Any, mode: Any, tools: list[dict[str, Any]] | None) -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Allume « le salon »"}]
    body = {"messages": messages, "chat_template_kwargs": {"enable_thinking": mode == "think"}}
    theirs = post(server, "/apply-template", {**body, **({"tools": tools} if tools else {})})["prompt"]
    assert theirs == render(messages, mode=mode, tools=tools, add_generation_prompt=True)
