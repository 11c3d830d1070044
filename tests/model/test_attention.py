"""Documents packed into one row do not see each other, and a cache gives what one full pass gives."""

from __future__ import annotations

import pytest
import torch

from smolforge.errors import ConfigError
from smolforge.model.attention import choose_backend
from smolforge.model.cache import KVCache
from smolforge.model.config import ModelConfig
from smolforge.model.decoder import Decoder
from smolforge.model.initialise import initialise

# on a CPU flex runs uncompiled, which is what is tested here
pytestmark = pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")

CONFIG = ModelConfig(64, 32, 48, n_layers=4, n_heads=4, n_kv_heads=2, initializer_range=0.3)
LENGTH = 48
DOCUMENT = torch.tensor([[0] * 17 + [1] * 20 + [2] * 11, [5] * 30 + [6] * 10 + [-1] * 8], dtype=torch.int32)


def decoder(backend: str = "sdpa") -> Decoder:
    made = initialise(Decoder(CONFIG), seed=1)
    made.use_backend(backend)
    return made.eval()


def tokens(seed: int = 0) -> torch.Tensor:
    return torch.randint(64, (2, LENGTH), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("backend", ["sdpa", "flex"])
def test_changing_one_document_leaves_the_others_bit_for_bit(backend: str) -> None:
    model, before = decoder(backend), tokens()
    after = before.clone()
    after[0, 17:37] = (after[0, 17:37] + 1) % 64
    with torch.no_grad():
        first, second = model(before, document=DOCUMENT), model(after, document=DOCUMENT)
    changed = (first != second).any(-1)
    assert changed[0, 17:37].all()
    assert not changed[0, :17].any() and not changed[0, 37:].any() and not changed[1].any()


@pytest.mark.parametrize("backend", ["sdpa", "flex"])
def test_a_packed_document_reads_as_it_does_alone(backend: str) -> None:
    """No layer resets positions, and rotary attention depends on distances only, so the place in the row is nothing."""
    model, row = decoder(backend), tokens()
    with torch.no_grad():
        packed = model(row, document=DOCUMENT)
        for start, end in ((0, 17), (17, 37), (37, 48)):
            alone = model(row[:1, start:end])
            torch.testing.assert_close(packed[0, start:end], alone[0], atol=2e-5, rtol=0)


def test_flex_equals_sdpa() -> None:
    with torch.no_grad():
        expected = decoder("sdpa")(tokens(), document=DOCUMENT)
        torch.testing.assert_close(decoder("flex")(tokens(), document=DOCUMENT), expected, atol=2e-5, rtol=0)


def test_no_gradient_crosses_a_document_or_goes_back_in_time() -> None:
    model = decoder()
    seen: list[torch.Tensor] = []

    def keep(module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        output.retain_grad()
        seen.append(output)

    with_hook = model.embed.register_forward_hook(keep)
    model(tokens(), document=DOCUMENT)[0, 30].sum().backward()
    with_hook.remove()
    assert seen[0].grad is not None
    reached = (seen[0].grad != 0).any(-1)
    assert reached[0].nonzero().flatten().tolist() == list(range(17, 31))
    assert not reached[1].any()


def test_one_document_mask_equals_plain_causal_attention() -> None:
    model = decoder()
    with torch.no_grad():
        masked = model(tokens(), document=torch.zeros(2, LENGTH, dtype=torch.int32))
        torch.testing.assert_close(masked, model(tokens()), atol=2e-5, rtol=0)


@pytest.mark.parametrize("steps", [[1] * LENGTH, [20, 1, 1, 26], [LENGTH - 1, 1], [5, 7, 36]])
def test_incremental_decoding_equals_one_full_pass(steps: list[int]) -> None:
    model, row = decoder(), tokens()
    cache = KVCache(CONFIG, 2, LENGTH)
    with torch.no_grad():
        parts = [model(part, cache=cache) for part in row.split(steps, dim=1)]
        torch.testing.assert_close(torch.cat(parts, dim=1), model(row), atol=2e-5, rtol=0)
    assert cache.lengths_B.tolist() == [LENGTH, LENGTH]


def test_rows_of_different_length_decode_as_they_do_alone() -> None:
    model, row = decoder(), tokens()
    lengths = torch.tensor([9, 23])
    cache = KVCache(CONFIG, 2, LENGTH)
    with torch.no_grad():
        model(row[:, :23], cache=cache)
        cache.truncate(lengths)
        for step in range(4):
            newest = torch.stack([row[i, length + step] for i, length in enumerate(lengths)])[:, None]
            hidden = model(newest, cache=cache)
            for i, length in enumerate(lengths.tolist()):
                alone = model(row[i : i + 1, : length + step + 1])[0, -1]
                torch.testing.assert_close(hidden[i, 0], alone, atol=2e-5, rtol=0)
        cache.keep(torch.tensor([1]))
        hidden = model(row[1:, 27:28], cache=cache)
        torch.testing.assert_close(hidden[0, 0], model(row[1:, :28])[0, -1], atol=2e-5, rtol=0)


def test_a_full_cache_and_a_mixed_call_are_refused() -> None:
    model, cache = decoder(), KVCache(CONFIG, 2, 8)
    with pytest.raises(ConfigError, match="48 tokens do not fit the capacity 8"):
        model(tokens(), cache=cache)
    with pytest.raises(ConfigError, match="either 'document' or 'cache'"):
        model(tokens()[:, :4], document=DOCUMENT[:, :4], cache=cache)


def test_backend_choice_says_why() -> None:
    assert choose_backend("cpu").name == "sdpa"
    assert "no backward on cpu" in choose_backend("cpu").reason
    with pytest.raises(ConfigError, match="'auto', 'sdpa' or 'flex'"):
        choose_backend("cpu", "flash")
