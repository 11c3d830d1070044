"""llama.cpp cuts text and lays prompts out as we do: the same ids and bytes, from a GGUF with our tokenizer."""

from __future__ import annotations

import argparse
import inspect
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from smolforge.tokens.config import TokenizerConfig
from smolforge.tokens.template import ChatCodec, render
from smolforge.tokens.tokenizer import train_tokenizer
from smolforge.tokens.tokenizer_stage import write_tokenizer_side_files
from tests.tokens.golden_cases import CASES

pytestmark = pytest.mark.slow

TEXTS = [
    "Turn on the kitchen light at 21:45, please!",
    "l'été dernier, qu'est-ce que c'était ?\n\n  - rien",
    "Schalte die Küchenlampe auf 100 % – sofort",
    "شَغِّل المُكَيِّف في غرفة النوم",
    "打开厨房的灯，然后关闭客厅的空调。",
    "Включи свет на кухне 🏠👩‍🚀",
    "e\u0301te\u0301 Ⅷ ½ ² ٣ don't I'LL",
    "def f(x):\n    return [x,\n\t\t12345]   \n\n\n",
    '{"name": "HassTurnOn", "arguments": {"area": "cuisine"}}',
]


TEXT_PRESET = {"balance": "sample", "reserved": 64, "vocab_size": 900}
TOKENIZERS = {
    "pieces": {"vocab_size": 900},
    "whole_turns": {"vocab_size": 900, "whole_turns": True},
    "65k_in_small": {"preset": "65k", **TEXT_PRESET},
    "128k_in_small": {"preset": "128k", **TEXT_PRESET},
}


@pytest.fixture(scope="module", params=TOKENIZERS.values(), ids=list(TOKENIZERS))
def codec_and_post(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> tuple[ChatCodec, Callable[..., Any]]:
    """A tokenizer, and llama.cpp's server over a model of random weights with that tokenizer."""
    xllamacpp = pytest.importorskip("xllamacpp")
    pytest.importorskip("torch")
    from smolforge.export import gguf, quantize
    from smolforge.export.stage import expected_shapes
    from smolforge.export.tokenizer import gguf_tokenizer
    from smolforge.model.decoder import Decoder
    from smolforge.model.presets import preset

    folder = tmp_path_factory.mktemp("llama_cpp")
    config = TokenizerConfig(**request.param)
    chats = [render(**case) for case in CASES.values()]
    tokenizer = train_tokenizer({"code": [inspect.getsource(argparse)], "text": TEXTS * 3}, chats, config)
    (folder / "tokenizer.json").write_text(tokenizer.to_str(), encoding="utf-8")
    codec = ChatCodec(tokenizer)
    write_tokenizer_side_files(folder, codec, config)
    model = preset("nano", vocab_size=codec.vocab_size)
    metadata = gguf.header(model, gguf_tokenizer(folder, codec.vocab_size), "F16", "random")
    plan = quantize.plan_types(expected_shapes(gguf.flat(model)), "F16", "F16")
    gguf.write_model(folder / "model.gguf", Decoder(model), metadata, plan)
    params = xllamacpp.CommonParams()
    params.model.path, params.n_ctx, params.n_parallel, params.verbosity = str(folder / "model.gguf"), 256, 1, 0
    params.warmup = params.fit_params = params.ui = False
    server = xllamacpp.Server(params)

    def post(path: str, body: dict[str, Any], server: Any = server) -> Any:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(server.listening_address + path, json.dumps(body).encode(), headers)
        return json.load(urllib.request.urlopen(request, timeout=600))

    return codec, post


def test_text_has_the_same_ids(codec_and_post: tuple[ChatCodec, Callable[..., Any]]) -> None:
    codec, post = codec_and_post
    for text, ids in zip(TEXTS, codec.encode_text(TEXTS), strict=True):
        assert post("/tokenize", {"content": text, "add_special": False, "parse_special": False})["tokens"] == ids, text


@pytest.mark.parametrize("name", [name for name in CASES if name != "forged_control"])
def test_prompts_have_the_same_bytes_and_ids(name: str, codec_and_post: tuple[ChatCodec, Callable[..., Any]]) -> None:
    codec, post = codec_and_post
    options = dict(CASES[name])
    messages, mode, tools = options.pop("messages"), options.pop("mode", "think"), options.pop("tools", None)
    options.pop("add_generation_prompt", None)
    tools = [openai_tool(tool) for tool in tools] if tools else None
    messages = [*messages, *([{"role": "user", "content": "And now?"}] if messages[-1]["role"] == "assistant" else [])]
    ours = render(messages, mode=mode, tools=tools, add_generation_prompt=True, **options)
    body = {"messages": [openai_shape(m) for m in messages], "tools": tools or []}
    kwargs = {**options, "enable_thinking": mode == "think"}
    theirs = post("/apply-template", {**body, "chat_template_kwargs": kwargs})["prompt"]
    if tools is None:  # llama.cpp rewrites tool definitions before the template sees them
        assert theirs == ours
    ids = post("/tokenize", {"content": ours, "add_special": True, "parse_special": True})["tokens"]
    assert [codec.decode([i]) for i in ids] == [
        codec.decode([i]) for i in codec.prompt(messages, mode, tools, **options)
    ]


def openai_shape(message: dict[str, Any]) -> dict[str, Any]:
    """The server wants tool calls with a type and with arguments as JSON text."""
    calls = []
    for call in message.get("tool_calls", ()):
        function = call.get("function", call)
        arguments = function["arguments"]
        text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
        calls.append({"id": "1", "type": "function", "function": {"name": function["name"], "arguments": text}})
    return {**message, **({"tool_calls": calls, "content": message.get("content")} if calls else {})}


def openai_tool(tool: dict[str, Any]) -> dict[str, Any]:
    """A tool in the server's shape."""
    return tool if "function" in tool else {"type": "function", "function": tool}
