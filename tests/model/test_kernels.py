"""The fused steps and the chunked loss have the values and the gradients of the plain formulas."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from smolforge.model import head
from smolforge.model.config import ModelConfig, YarnConfig
from smolforge.model.head import summed_nll
from smolforge.model.kernels import rms_norm, split_rotate, swiglu
from smolforge.model.positions import RotaryTable


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def assert_same(
    ours: Callable[..., torch.Tensor], plain: Callable[..., torch.Tensor], inputs: list[torch.Tensor]
) -> None:
    results = [function(*inputs) for function in (ours, plain)]
    torch.testing.assert_close(*results, atol=1e-5, rtol=1e-5)
    slope = torch.randn(results[0].shape, generator=torch.Generator().manual_seed(9))
    for got, expected in zip(*(torch.autograd.grad(r, inputs, slope) for r in results), strict=True):
        torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)


def test_swiglu() -> None:
    assert_same(swiglu, lambda x: F.silu(x[..., :24]) * x[..., 24:], [random(3, 5, 48)])


def test_rms_norm() -> None:
    def plain(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return x / (x.pow(2).mean(-1, keepdim=True) + 1e-3).sqrt() * weight

    assert_same(lambda x, w: rms_norm(x, w, 1e-3), plain, [random(3, 5, 32), random(32, seed=1)])


@pytest.mark.parametrize("yarn", [None, YarnConfig(4.0, 16)])
def test_split_rotate_turns_queries_and_keys_as_complex_numbers(yarn: YarnConfig | None) -> None:
    config = ModelConfig(8, 32, 8, 1, 4, 2, rope_scaling=yarn)
    table = RotaryTable(config).rows(6, torch.device("cpu"))
    phase = torch.complex(table[:, 0], table[:, 1])[:, None]

    def flat(fused: torch.Tensor) -> torch.Tensor:
        return torch.cat([part.transpose(1, 2) for part in split_rotate(fused, 4, table[:, None])], dim=2)

    def plain(fused: torch.Tensor) -> torch.Tensor:
        turned = torch.complex(fused[:, :, :6, :4], fused[:, :, :6, 4:]) * phase
        return torch.cat((torch.cat((turned.real, turned.imag), -1), fused[:, :, 6:]), dim=2)

    assert_same(flat, plain, [random(2, 6, 8, 8)])


@pytest.mark.parametrize("chunk", [40, 120, 1 << 20])
def test_summed_nll_equals_dense_cross_entropy(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(head._CHUNK_VALUES, "cpu", chunk)
    labels = torch.randint(40, (17,), generator=torch.Generator().manual_seed(2))
    assert_same(
        lambda h, w: summed_nll(h, w, labels),
        lambda h, w: F.cross_entropy(h @ w.t(), labels, reduction="sum"),
        [random(17, 8), random(40, 8, seed=1)],
    )


def test_summed_nll_stays_finite_for_hopeless_labels() -> None:
    hidden = torch.tensor([[300.0], [-300.0]], requires_grad=True)
    weight = torch.tensor([[1.0], [-1.0], [0.0]], requires_grad=True)
    loss = summed_nll(hidden, weight, torch.tensor([1, 0]))
    assert loss.item() == pytest.approx(1200.0)
    loss.backward()
    assert hidden.grad is not None and hidden.grad.isfinite().all()


def test_summed_nll_under_autocast_is_near_float32() -> None:
    hidden, weight = random(64, 16), random(50, 16, seed=1)
    labels = torch.randint(50, (64,), generator=torch.Generator().manual_seed(3))
    exact = torch.autograd.grad(summed_nll(hidden, weight, labels), (hidden, weight))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = summed_nll(hidden, weight, labels)
    assert loss.dtype == torch.float32
    for got, expected in zip(torch.autograd.grad(loss, (hidden, weight)), exact, strict=True):
        assert got.dtype == torch.float32
        assert (got - expected).norm() < 0.02 * expected.norm()
