"""The Triton kernels in Triton's interpreter. `test_triton.py` runs this file with TRITON_INTERPRET=1."""

import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from lrnn_cli.kernels import dispatch, triton
from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.kernels.layer_norm import layer_norm
from tests.kernels.support import FAMILY, INPUTS, bytes_saved, draw, plant_zeros, value_and_gradients
from tests.kernels.test_engines import agree
from tests.kernels.test_layer_norm import agree as norms_agree

LAW = settings(max_examples=15, phases=[Phase.explicit, Phase.generate])  # shrinking takes too long here
CPU = torch.device("cpu")
SIGMA = {"gamma": 0.6, "offset": 1.0, "centre": 0.2}


@pytest.fixture(autouse=True, scope="module")
def small_tiles():
    """Small tiles, so that small shapes have several of them."""
    before = {name: dict(tile) for name, tile in triton.TILES.items()}
    for tile in triton.TILES.values():
        tile.update(BN=16, BR=16)
    yield
    triton.TILES.update(before)


def test_the_interpreter_is_in_use():
    assert triton.interpreted()
    chosen = dispatch.choose_engine("triton", family="spder", dtype=torch.float32, device=CPU)
    assert (chosen.name, chosen.reason) == ("triton", "asked for")


@LAW
@given(
    FAMILY,
    st.sampled_from([0, 1, 2, 15, 16, 17, 33]),
    st.sampled_from([1, 2, 8, 9, 16, 17, 35]),
    st.integers(1, 4),
    st.sampled_from([1, 2, 15, 16, 17, 20]),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10**6),
)
@example("spder", 1, 1, 1, 1, 1, 1.0, 0.0, 0)
@example("sin", 0, 2, 3, 17, 2, 1.0, 0.4, 0)
@example("gauss", 17, 17, 2, 17, 2, 0.0, 0.4, 0)
def test_equals_the_reference(family, n, d, n_factors, n_neurons, width, offset, centre, seed):
    inputs = draw(n, d, n_factors, n_neurons, width, seed=seed, dtype=torch.float32)
    with torch.no_grad():
        inputs[1].div_(d**0.5)  # z of size 1, as in a network
    agree(inputs, "triton", 1e-5, family=family, gamma=n_factors**-0.5, offset=offset, centre=centre)


@pytest.mark.parametrize("family", FAMILIES)
def test_far_and_near_arguments(family):
    """Elementary functions: one factor, one input, the identity as projection."""
    u = torch.cat([torch.linspace(-60, 60, 121), torch.tensor([0.0, 1e-12, -1e-12, 0.25, -0.25, 1, -1])])
    inputs = [u[:, None], torch.ones(1, 1, 1), torch.zeros(1, 1), *[torch.ones(1, 1, 1)] * 2]
    inputs = [t.clone().requires_grad_() for t in (*inputs, torch.zeros(1, 1, 1))]
    constants = {"family": family, "gamma": 1.0, "offset": 0.0, "centre": 0.0}
    found, slopes = value_and_gradients(inputs, torch.ones(len(u), 1), "triton", **constants)
    value, slope = FAMILIES[family].value_and_slope(u.double())
    for mine, exact in ((found[:, 0], value), (slopes[0][:, 0], slope)):
        assert float(((mine - exact).abs() / exact.abs().clamp(min=1)).max()) < 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_zero_factors(family):
    inputs = draw(6, 2, 3, 14, 1, seed=1, dtype=torch.float32)
    constants = plant_zeros(inputs, family, [(0, 0), (1, 1), (2, 1), (0, 13), (1, 13), (2, 13)])
    phi, gradients = value_and_gradients(inputs, torch.ones(6, 14), "triton", family=family, **constants)
    assert (phi[:, [0, 1, 13]] == 0).all()
    assert gradients[3][0, 0, 0] != 0  # one zero factor: the others' product times dg
    assert (gradients[3][:, :, [1, 13]] == 0).all()
    agree(inputs, "triton", 1e-5, family=family, **constants)


@pytest.mark.parametrize(("n", "d"), [(1, 1), (1, 9), (16, 8), (17, 1), (17, 8), (33, 2), (33, 9)])
def test_inputs_that_want_no_gradient(n, d, monkeypatch):
    """Of few inputs the kernel sums up dW itself, block by block and chunk by chunk."""
    monkeypatch.setattr(triton, "CHUNK_BYTES", 1)
    inputs = draw(n, d, 3, 17, 2, seed=n, dtype=torch.float32)
    inputs[0] = inputs[0].detach()
    gradients = []
    for engine in ("triton", "reference"):
        phi = dispatch.product_layer(*inputs, family="spder", engine=engine, **SIGMA)
        gradients.append(torch.autograd.grad(phi.square().sum(), inputs[1:]))
    for found, expected in zip(*gradients, strict=True):
        assert found.shape == expected.shape
        assert float((found - expected).abs().max()) <= 1e-5 * float(expected.abs().max())


@pytest.mark.parametrize("n", [1, 33])
def test_projections_in_two_parts(n, monkeypatch):
    """Here the product of the parts is in single precision: what is tested is that nothing is left out."""
    monkeypatch.setattr(triton, "_has_tf32", lambda device: True)
    monkeypatch.setattr(triton, "SPLIT_FROM", 0)
    monkeypatch.setattr(triton, "CHUNK_BYTES", 1)
    agree(draw(n, 19, 3, 5, 2, seed=n, dtype=torch.float32), "triton", 1e-5, family="spder", **SIGMA)
    t = draw(n, 19, 1, 1, 1, seed=n, dtype=torch.float32)[0].detach()
    high, same, low = (part[:, :19] for part in triton.split(t, second=False).split(20, 1))
    assert not triton.split(t, second=False)[:, 19::20].any()  # the zeros in between
    assert torch.equal(high, same) and torch.equal(high + low, t)
    assert not (high.contiguous().view(torch.int32) & 0x1FFF).any()  # 10 bits of the mantissa are left
    assert float((low / t).abs().max()) <= 2.0**-11
    second = [part[:, :19] for part in triton.split(t, second=True).split(20, 1)]
    assert torch.equal(second[0], high) and torch.equal(second[1], low) and torch.equal(second[2], high)


def test_projections_are_kept_only_when_they_fit(monkeypatch):
    inputs = draw(40, 9, 2, 5, 1, seed=0, dtype=torch.float32)
    for limit, kept in ((2**20, 7), (1, 6)):
        monkeypatch.setattr(triton, "CHUNK_BYTES", limit)
        phi = dispatch.product_layer(*inputs, family="spder", engine="triton", **SIGMA)
        assert len(phi.grad_fn.saved_tensors) == kept


@pytest.mark.parametrize("n", [0, 1, 5, 70])
@pytest.mark.parametrize("size", [1, 2, 17, 64])
def test_layer_norm(n, size):
    generator = torch.Generator().manual_seed(n)
    x, weight, bias = (torch.randn(shape, generator=generator) for shape in [(n, size), (size,), (size,)])
    norms_agree(x + torch.linspace(-4, 4, size), weight, bias, "triton")


def test_layer_norm_keeps_nan_and_leaves_wide_rows_to_torch(monkeypatch):
    x = torch.tensor([[1.0, float("nan"), 2.0], [1.0, 2.0, 4.0]])
    y = layer_norm(x, torch.ones(3), torch.zeros(3), eps=1e-5, engine="triton")
    assert y[0].isnan().all() and y[1].isfinite().all()
    monkeypatch.setattr(triton, "WIDEST_NORM", 2)
    assert not triton.can_norm(x) and triton.can_norm(x[:, :2])
    wide = layer_norm(x[1:], torch.ones(3), torch.zeros(3), eps=1e-5, engine="triton")
    torch.testing.assert_close(wide, y[1:])


@pytest.mark.parametrize("n", [16, 33, 64])
def test_chunks_of_the_backward_pass(n, monkeypatch):
    monkeypatch.setattr(triton, "CHUNK_BYTES", 1)
    agree(draw(n, 2, 3, 5, 2, seed=n, dtype=torch.float32), "triton", 1e-5, family="spder", **SIGMA)


@pytest.mark.parametrize("family", ["spder", "tanh", "relu", "bspline"])
def test_nan_in_nan_out(family):
    for k, name in enumerate(INPUTS):
        inputs = draw(5, 9, 2, 14, 1, seed=0, dtype=torch.float32)
        with torch.no_grad():
            inputs[k][(-1,) * inputs[k].dim()] = torch.nan
        phi, gradients = value_and_gradients(inputs, torch.ones(5, 14), "triton", family=family, **SIGMA)
        touched = phi[-1] if name == "x" else phi[:, -1]
        assert touched.isnan().all(), name
        assert phi.isnan().sum() == touched.numel(), name
        assert gradients[3].isnan().any(), name


def test_strided_inputs_and_those_that_want_no_gradient():
    x, weight, bias, amplitude, frequency, phase = (
        t.detach() for t in draw(8, 2, 3, 5, 2, seed=3, dtype=torch.float32)
    )
    shared = amplitude[:, :, :1].clone().requires_grad_()
    results = []
    for engine in ("triton", "reference"):
        wide = torch.stack([x, x], 2)[..., 0]
        phi = dispatch.product_layer(
            wide, weight, bias, shared.expand_as(amplitude), frequency, phase,
            family="sin", engine=engine, **SIGMA,
        )  # fmt: skip
        results.append((phi.detach(), *torch.autograd.grad(phi.sum(), shared)))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("precision", "error"), [("full", 1e-5), ("tf32", 1e-5), ("bfloat16", 2e-2)])
def test_precision_of_the_backward_products(precision, error):
    inputs = draw(40, 9, 3, 17, 1, seed=2, dtype=torch.float32)
    results = [
        value_and_gradients(inputs, torch.ones(40, 17), engine, family="spder", backward=asked, **SIGMA)
        for engine, asked in (("triton", precision), ("reference", "full"))
    ]
    (phi, gradients), (true_phi, true_gradients) = results
    torch.testing.assert_close(phi, true_phi, rtol=1e-5, atol=1e-5)  # values are never rounded
    for name, found, exact in zip(INPUTS, gradients, true_gradients, strict=True):
        bound = error if name in ("x", "weight") else 1e-5
        distance = float((found - exact).abs().max() / exact.abs().max())
        assert distance <= bound, name
        assert precision != "bfloat16" or name not in ("x", "weight") or distance > 1e-5


def test_one_derivative_only():
    inputs = draw(3, 2, 2, 2, 1, seed=0, dtype=torch.float32)
    phi = dispatch.product_layer(*inputs, family="sin", engine="triton", **SIGMA)
    (gradient,) = torch.autograd.grad(phi.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def test_only_the_inputs_are_kept_for_the_backward_pass():
    inputs = draw(100, 2, 8, 16, 1, seed=0, dtype=torch.float32)
    kept = bytes_saved(lambda: dispatch.product_layer(*inputs, family="spder", engine="triton", **SIGMA))
    assert kept == 4 * sum(t.numel() for t in inputs)
