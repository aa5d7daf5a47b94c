"""The fast engines against the reference: values, all gradients, blocks, zero factors, NaN, memory."""

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrnn_cli.kernels import dispatch, fused, native
from lrnn_cli.kernels.families import FAMILIES
from tests.kernels.support import (
    FAMILY,
    INPUTS,
    bytes_saved,
    compiled_engine,
    draw,
    plant_zeros,
    value_and_gradients,
)  # fmt: skip

LAW = settings(max_examples=80)
ENGINES = ["fused", *compiled_engine()]
FAST = {"fused": (torch.float64, 1e-12), "compiled": (torch.float32, 1e-5)}
KINDS = [("fused", torch.float64, 1e-12), ("fused", torch.float32, 1e-5)]
KINDS += [(engine, torch.float32, 1e-5) for engine in compiled_engine()]
SMOOTH = sorted(set(FAMILIES) - {"relu", "bspline", "spder-sqrt"})


def agree(inputs, engine, tolerance, **constants):
    """Compare with the reference in float64, relative to the largest number of each tensor."""
    shape = (inputs[0].shape[0], inputs[1].shape[1])
    upstream = torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    exact = [t.detach().double().requires_grad_() for t in inputs]
    phi, gradients = value_and_gradients(inputs, upstream.to(inputs[0].dtype), engine, **constants)
    upstream = upstream.to(inputs[0].dtype).double()
    true_phi, true_gradients = value_and_gradients(exact, upstream, "reference", **constants)
    for name, found, expected in zip(
        ("phi", *INPUTS), (phi, *gradients), (true_phi, *true_gradients), strict=True
    ):
        assert found.shape == expected.shape, name
        assert found.dtype == inputs[0].dtype, name
        size = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
        error = float((found.double() - expected).abs().max()) if expected.numel() else 0.0
        assert error <= tolerance * size, f"{name}: error {error:.2e} of {size:.2e}"


@pytest.mark.parametrize(("engine", "dtype", "tolerance"), KINDS)
@LAW
@given(
    FAMILY,
    st.integers(0, 9),
    st.one_of(st.integers(1, 3), st.sampled_from([17, 130])),
    st.integers(1, 6),
    st.one_of(st.integers(1, 9), st.sampled_from([127, 128, 129, 256, 300])),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
    st.sampled_from([0.0, 0.4]),
    st.integers(0, 10**6),
)
@example("spder", 1, 1, 1, 1, 1, 1.0, 0.0, 0)
@example("sin", 0, 2, 3, 130, 2, 1.0, 0.4, 0)
def test_equals_the_reference(
    engine, dtype, tolerance, family, n, d, n_factors, n_neurons, width, offset, centre, seed
):
    inputs = draw(n, d, n_factors, n_neurons, width, seed=seed, dtype=dtype)
    with torch.no_grad():
        inputs[1].div_(max(1.0, (d / 3) ** 0.5))  # z of the size that a LayerNorm before the layer gives
    agree(inputs, engine, tolerance, family=family, gamma=n_factors**-0.5, offset=offset, centre=centre)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 31, 32, 33, 63, 64, 65, 100])
@pytest.mark.parametrize("keep", [True, False], ids=["z-kept", "z-recomputed"])
def test_blocks_of_32_points(engine, n, keep, monkeypatch):
    monkeypatch.setattr(fused, "BLOCK_BYTES", dict.fromkeys(fused.BLOCK_BYTES, 1))
    monkeypatch.setattr(fused, "KEEP_BYTES", 2**24 if keep else 0)
    dtype, tolerance = FAST[engine]
    inputs = draw(n, 2, 3, 5, 2, seed=n, dtype=dtype)
    agree(inputs, engine, tolerance, family="spder", gamma=0.6, offset=1.0, centre=0.3)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n_neurons", [3, 131])
def test_zero_factors(engine, family, n_neurons):
    dtype, tolerance = FAST[engine]
    inputs = draw(6, 2, 3, n_neurons, 1, seed=1, dtype=dtype)
    last = n_neurons - 1
    constants = plant_zeros(inputs, family, [(0, 0), (1, 1), (2, 1), (0, last), (1, last), (2, last)])
    phi, gradients = value_and_gradients(
        inputs, torch.ones(6, n_neurons, dtype=dtype), engine, family=family, **constants
    )
    assert (phi[:, [0, 1, last]] == 0).all()
    assert gradients[3][0, 0, 0] != 0  # one zero factor: the others' product times dg
    assert (gradients[3][:, :, [1, last]] == 0).all()
    agree(inputs, engine, tolerance, family=family, **constants)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("keep", [True, False], ids=["z-kept", "z-recomputed"])
def test_a_retained_graph_gives_the_same_gradients_again(engine, keep, monkeypatch):
    monkeypatch.setattr(fused, "KEEP_BYTES", 2**24 if keep else 0)
    inputs = draw(40, 2, 3, 5, 2, seed=0, dtype=FAST[engine][0])
    phi = dispatch.product_layer(*inputs, family="sin", gamma=0.6, offset=1.0, centre=0.0, engine=engine)
    first, second, third = (torch.autograd.grad(phi.sum(), inputs, retain_graph=True) for _ in range(3))
    for a, b, c in zip(first, second, third, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-6)
        torch.testing.assert_close(a, c, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_need_not_be_contiguous_nor_all_want_gradients(engine):
    dtype, tolerance = FAST[engine]
    inputs = [t.detach() for t in draw(8, 2, 3, 5, 2, seed=3, dtype=dtype)]
    x, weight, bias, amplitude, frequency, phase = inputs
    shared = amplitude[:, :, :1].clone().requires_grad_()
    constants = {"family": "sin", "gamma": 0.6, "offset": 1.0, "centre": 0.0}
    results = []
    for name, to in ((engine, dtype), ("reference", torch.float64)):
        a = shared.to(to)
        wide = torch.stack([x, x], 2).to(to)[..., 0]  # strided
        phi = dispatch.product_layer(
            wide, weight.to(to), bias.to(to), a.expand_as(amplitude), frequency.to(to), phase.to(to),
            engine=name, **constants,
        )  # fmt: skip
        (gradient,) = torch.autograd.grad(phi.sum(), shared)
        results.append((phi.detach().double(), gradient.double()))
    for found, expected in zip(*results, strict=True):
        torch.testing.assert_close(found, expected, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("family", SMOOTH)
def test_gradcheck(family):
    inputs = draw(4, 2, 3, 2, 2, seed=0)
    constants = {"family": family, "gamma": 0.6, "offset": 1.0, "centre": 0.2}
    assert torch.autograd.gradcheck(
        lambda *t: dispatch.product_layer(*t, engine="fused", **constants), inputs
    )


@pytest.mark.parametrize("family", SMOOTH)
def test_gradcheck_at_zero_factors(family):
    inputs = draw(3, 2, 3, 3, 1, seed=0)
    constants = plant_zeros(inputs, family, [(1, 1), (0, 2), (2, 2)])
    assert torch.autograd.gradcheck(
        lambda *t: dispatch.product_layer(*t, engine="fused", family=family, **constants), inputs
    )


@pytest.mark.parametrize("engine", ["reference", *ENGINES])
@pytest.mark.parametrize("family", FAMILIES)
def test_nan_in_nan_out(engine, family):
    if engine == "compiled" and family not in native.FAMILY_NUMBERS:
        engine = "fused"  # what dispatch does for it
    dtype = FAST.get(engine, (torch.float32, 0))[0]
    constants = {"family": family, "gamma": 0.6, "offset": 1.0, "centre": 0.2}
    for k, name in enumerate(INPUTS):
        inputs = draw(5, 2, 3, 130, 2, seed=0, dtype=dtype)
        with torch.no_grad():
            inputs[k][(-1,) * inputs[k].dim()] = torch.nan
        phi, gradients = value_and_gradients(inputs, torch.ones(5, 130, dtype=dtype), engine, **constants)
        touched = phi[-1] if name == "x" else phi[:, -1]
        assert touched.isnan().all(), name
        assert phi.isnan().sum() == touched.numel(), name
        assert gradients[3].isnan().any(), name


def test_one_derivative_only():
    inputs = draw(3, 2, 2, 2, 1, seed=0)
    phi = dispatch.product_layer(*inputs, family="sin", gamma=1.0, offset=1.0, centre=0.0, engine="fused")
    (gradient,) = torch.autograd.grad(phi.square().sum(), inputs[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


def bytes_kept(engine, n):
    inputs = draw(n, 2, 8, 16, 1, seed=0, dtype=torch.float32)
    constants = {"family": "spder", "gamma": 0.4, "offset": 1.0, "centre": 0.0}
    return bytes_saved(lambda: dispatch.product_layer(*inputs, engine=engine, **constants))


@pytest.mark.parametrize("engine", ENGINES)
def test_fewer_bytes_are_kept_for_the_backward_pass(engine, monkeypatch):
    n, one = 1000, 1000 * 8 * 16 * 4  # bytes of one (n, D, R) tensor
    assert bytes_kept("reference", n) >= 5 * one
    assert one < bytes_kept(engine, n) < 1.1 * one  # z
    monkeypatch.setattr(fused, "KEEP_BYTES", one - 1)
    assert bytes_kept(engine, n) < 0.1 * one


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [40, 0])
def test_inputs_stay_as_they_are(engine, n):
    dtype = FAST[engine][0]
    inputs = draw(n, 2, 3, 5, 1, seed=0, dtype=dtype)
    before = [t.detach().clone() for t in inputs]
    constants = {"family": "sin", "gamma": 0.5, "offset": 1.0, "centre": 0.0}
    value_and_gradients(inputs, torch.ones(n, 5, dtype=dtype), engine, **constants)
    assert all(torch.equal(a, b) for a, b in zip(before, inputs, strict=True))


@pytest.mark.parametrize("engine", ["reference", *ENGINES])
@pytest.mark.parametrize(
    ("k", "change", "said"),
    [
        (3, lambda t: t[:, :, :1], "a (2, 3, 5) in float32 on cpu, got (2, 3, 1) in float32 on cpu"),
        (4, lambda t: t.double(), "w (2, 3, 5) in float32 on cpu, got (2, 3, 5) in float64 on cpu"),
        (5, lambda t: t.to("meta"), "c (2, 3, 5) in float32 on cpu, got (2, 3, 5) in float32 on meta"),
        (2, lambda t: t[0], "b (3, 5) in float32 on cpu, got (5,) in float32 on cpu"),
        (0, lambda t: t[:, :1], "x (7, 4) in float32 on cpu, got (7, 1) in float32 on cpu"),
        (
            0, lambda t: t[0],
            "x (n, d), W (D, R, d) and a (M, D, R), got (4,), (3, 5, 4) and (2, 3, 5)",
        ),
    ],
)  # fmt: skip
def test_tensors_that_do_not_fit(engine, k, change, said):
    """Machine code reads memory as it is told to: what does not fit is refused by all engines alike."""
    inputs = draw(7, 4, 3, 5, 2, seed=0, dtype=torch.float32)
    inputs[k] = change(inputs[k].detach())
    with pytest.raises(ValueError) as caught:
        dispatch.product_layer(*inputs, family="sin", gamma=1.0, offset=1.0, centre=0.0, engine=engine)
    assert str(caught.value) == f"product layer: expected {said}"
