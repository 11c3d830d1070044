"""The decoder gives the logits of transformers' own SmolLM3 and Llama classes."""

from __future__ import annotations

import pytest
import torch

from smolforge.model.checkpoint import load_tensors
from smolforge.model.config import ModelConfig, YarnConfig
from smolforge.model.decoder import Decoder
from smolforge.model.hf_config import to_hf

transformers = pytest.importorskip("transformers")

SMALL = {"vocab_size": 97, "hidden_size": 64, "intermediate_size": 96, "n_layers": 4, "n_heads": 4, "n_kv_heads": 2}
CASES = {
    "gqa_2_to_1": {},
    "one_kv_head": {"n_kv_heads": 1},
    "as_many_kv_heads": {"n_kv_heads": 4},
    "three_to_one": {"n_heads": 6, "n_kv_heads": 2, "hidden_size": 96, "head_dim": 16},
    "wide_heads": {"head_dim": 32},
    "nope_everywhere": {"no_rope_layers": (0, 0, 0, 0)},
    "nope_first_and_third": {"no_rope_layers": (0, 1, 0, 1)},
    "large_theta": {"rope_theta": 5e6},
    "untied": {"tie_word_embeddings": False},
    "biases": {"attention_bias": True, "mlp_bias": True},
    "yarn": {"rope_scaling": YarnConfig(2.0, 32), "max_position_embeddings": 64},
    "yarn_own_factor": {"rope_scaling": YarnConfig(4.0, 32, attention_factor=1.3), "rope_theta": 1e6},
    "yarn_untruncated": {"rope_scaling": YarnConfig(4.0, 64, beta_fast=16.0, beta_slow=2.0, truncate=False)},
    "llama": {"architecture": "llama"},
    "llama_untied_yarn": {"architecture": "llama", "tie_word_embeddings": False, "rope_scaling": YarnConfig(2.0, 48)},
}


def reference(config: ModelConfig) -> torch.nn.Module:
    value = to_hf(config)
    model_type = value.pop("model_type")
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(transformers.AutoConfig.for_model(model_type, **value)).eval()
    with torch.no_grad():
        for parameter in model.parameters():  # larger than an initialisation, gains and biases too: every term matters
            parameter.normal_(1.0 if parameter.ndim == 1 else 0.0, 0.1)
    return model


@pytest.mark.parametrize("wanted", [[0, 5, 69, 70, 200], [], list(range(140))])
def test_asking_for_some_positions_gives_what_a_full_pass_gives_there(wanted: list[int]) -> None:
    decoder = load_tensors(Decoder(ModelConfig(**SMALL)), reference(ModelConfig(**SMALL)).state_dict())
    tokens = torch.randint(decoder.config.vocab_size, (3, 70), generator=torch.Generator().manual_seed(2))
    document = torch.arange(70).expand(3, 70) // 25
    rows = torch.tensor(wanted, dtype=torch.int64)
    gradients = []
    for hidden in (
        decoder(tokens, document=document).reshape(-1, decoder.config.hidden_size)[rows],
        decoder(tokens, document=document, rows=rows),
    ):
        decoder.zero_grad()
        hidden.square().sum().backward()
        gradients.append([hidden, *(p.grad.clone() for p in decoder.parameters() if p.grad is not None)])
    assert len(gradients[0]) == len(gradients[1]) > 1
    for full, some in zip(*gradients, strict=True):
        torch.testing.assert_close(some, full, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_logits_equal_transformers(case: str) -> None:
    config = ModelConfig(**{**SMALL, **CASES[case]})
    theirs = reference(config)
    ours = load_tensors(Decoder(config), theirs.state_dict())
    tokens = torch.randint(config.vocab_size, (3, 70), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected, got = theirs(tokens).logits, ours.logits(ours(tokens))
    assert expected.std() > 0.1
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=0)
