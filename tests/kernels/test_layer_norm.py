"""LayerNorm in machine code against its formula in float64: values, gradients, sizes, flat rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.kernels.layer_norm import layer_norm
from tests.kernels.support import compiled_engine

pytestmark = pytest.mark.skipif(not compiled_engine(), reason="no C compiler on this machine")
EPS = 1e-5


def formula(x, weight, bias):
    centred = x - x.mean(1, keepdim=True)
    return weight * centred / (centred.square().mean(1, keepdim=True) + EPS).sqrt() + bias


def agree(x, weight, bias, engine="compiled"):
    upstream = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    inputs = [t.requires_grad_() for t in (x, weight, bias)]
    exact = [t.detach().double().requires_grad_() for t in inputs]
    found = layer_norm(*inputs, eps=EPS, engine=engine)
    expected = formula(*exact)
    assert type(found.grad_fn).__name__.startswith("_LayerNorm")  # not torch's
    pairs = [(found, expected)]
    pairs += zip(
        torch.autograd.grad(found, inputs, upstream),
        torch.autograd.grad(expected, exact, upstream.double()),
        strict=True,
    )
    gain = float((exact[0].detach().var(1, correction=0) + EPS).rsqrt().max()) if len(x) else 1.0
    for ours, truth in pairs:
        assert ours.shape == truth.shape
        size = max(1.0, gain, float(truth.detach().abs().max())) if truth.numel() else 1.0
        torch.testing.assert_close(ours.double(), truth, rtol=0, atol=1e-5 * size)


@settings(max_examples=60)
@given(
    st.integers(0, 5),
    st.one_of(st.integers(1, 33), st.sampled_from([127, 128, 156])),
    st.sampled_from([0.0, 3.0]),
    st.integers(0, 10**6),
)
def test_equals_the_formula(n, size, shift, seed):
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(shape, generator=generator)  # noqa: E731
    ramp = torch.linspace(
        -4, 4, size
    )  # rows with a spread, or rounding errors are multiplied by 1 / sqrt(eps)
    agree(draw(n, size) + ramp + shift, draw(size), draw(size))


def test_a_row_without_spread():
    agree(torch.full((2, 7), 0.5), torch.ones(7), torch.zeros(7))


def test_rows_out_of_order_in_memory():
    agree(
        torch.randn(9, 6, generator=torch.Generator().manual_seed(2)).T.detach(), torch.ones(9), torch.ones(9)
    )


def test_nan_stays_nan():
    x = torch.tensor([[1.0, float("nan"), 2.0], [1.0, 2.0, 4.0]])
    y = layer_norm(x, torch.ones(3), torch.zeros(3), eps=EPS, engine="compiled")
    assert y[0].isnan().all()
    assert y[1].isfinite().all()


@pytest.mark.parametrize("engine", ["reference", "fused", "compiled"])
def test_double_precision_stays_with_torch(engine):
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weight, bias = torch.ones(5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    found = layer_norm(x, weight, bias, eps=EPS, engine=engine)
    torch.testing.assert_close(found, formula(x, weight, bias), rtol=0, atol=1e-14)


@pytest.mark.parametrize("engine", ["fused", "compiled"])
def test_weights_of_another_kind_are_left_to_torch(engine):
    """Machine code would read them as what they are not."""
    x = torch.randn(6, 8, generator=torch.Generator().manual_seed(4))
    spread = torch.randn(8, 2, generator=torch.Generator().manual_seed(5))
    weight, bias = spread.unbind(1)  # every second number in memory
    found = layer_norm(x, weight, bias, eps=EPS, engine=engine)
    torch.testing.assert_close(found, formula(x, weight, bias), rtol=1e-5, atol=1e-5)
    deep = layer_norm(x[None], torch.ones(8), torch.zeros(8), eps=EPS, engine=engine)
    torch.testing.assert_close(deep[0], formula(x, torch.ones(8), torch.zeros(8)), rtol=1e-5, atol=1e-5)
    with pytest.raises(RuntimeError):
        layer_norm(x, torch.ones(3), torch.zeros(3), eps=EPS, engine=engine)
    with pytest.raises(RuntimeError):
        layer_norm(x, torch.ones(8).double(), torch.zeros(8).double(), eps=EPS, engine=engine)
