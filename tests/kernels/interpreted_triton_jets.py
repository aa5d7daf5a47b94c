"""The Triton kernels of Laplacians in Triton's interpreter. `test_triton.py` runs this file in a process."""

import numpy as np
import pytest
import torch
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from lrnn_cli.kernels import dispatch, triton_jets
from lrnn_cli.numerics.taylor import Taylor, lift
from tests.kernels.support import ZERO_PHASE, bytes_saved
from tests.kernels.test_jets import (
    CONSTANTS,
    SMOOTH,
    TRUTH,
    agree,
    inputs_of,
    jets_and_gradients,
    weights_of,
)

LAW = settings(max_examples=12, phases=[Phase.explicit, Phase.generate])  # shrinking takes too long here
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def small_tiles():
    """Small tiles, so that small shapes have several of them."""
    before = triton_jets.TILE, triton_jets.NEURONS
    triton_jets.TILE, triton_jets.NEURONS = 256, 16
    yield
    triton_jets.TILE, triton_jets.NEURONS = before


def choose(asked="triton", family="sin", dtype=torch.float64):
    return dispatch.choose_engine(asked, family=family, dtype=dtype, device=CPU, laplacian=True)


def test_the_trial_run_lets_them_through():
    assert (choose().name, choose().reason) == ("triton", "asked for")


@LAW
@given(
    st.sampled_from(SMOOTH),
    st.sampled_from([0, 1, 2, 3, 4, 5, 9, 17]),
    st.integers(1, 3),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sampled_from([1, 2, 15, 16, 17, 33]),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
    st.booleans(),
    st.integers(0, 10**6),
)
@example("spder", 1, 1, 1, 1, 1, 1, 1.0, False, 0)
@example("sin", 0, 2, 2, 3, 17, 2, 1.0, False, 0)
@example("sin", 0, 2, 2, 3, 17, 2, 1.0, True, 0)
@example("sin", 1, 2, 2, 3, 17, 2, 1.0, True, 0)
def test_equals_the_reference(family, n, d, m, n_factors, n_neurons, width, offset, constant, seed):
    constants = {"family": family, "gamma": n_factors**-0.5, "offset": offset, "centre": 0.4}
    x, wanted = inputs_of(n, d, m, seed=seed, constant=constant)
    weights = weights_of(d, n_factors, n_neurons, width, seed)
    found = jets_and_gradients(x, wanted, weights, "triton", **constants)
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **constants), 1e-12)


@pytest.mark.parametrize(("n", "constant"), [(16, False), (17, True), (33, False)])
def test_blocks_of_16_points(n, constant, monkeypatch):
    monkeypatch.setattr(triton_jets, "BLOCK_BYTES", 1)
    x, wanted = inputs_of(n, 2, 3, seed=n, constant=constant)
    weights = weights_of(2, 3, 5, 2, seed=n)
    found = jets_and_gradients(x, wanted, weights, "triton", **CONSTANTS)
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **CONSTANTS), 1e-12)


@pytest.mark.parametrize("family", SMOOTH)
def test_zero_factors(family):
    constants = {"family": family, "gamma": 0.5, "offset": 1.0, "centre": -0.5}
    x, wanted = inputs_of(6, 2, 2, seed=1)
    weights = weights_of(2, 3, 18, 1, seed=1)
    with torch.no_grad():
        for j, k in ((0, 0), (1, 1), (2, 1), (0, 17), (1, 17), (2, 17)):
            weights[2][:, j, k], weights[3][:, j, k], weights[4][:, j, k] = -4.0, 0.0, ZERO_PHASE[family]
    found = jets_and_gradients(x, wanted, weights, "triton", **constants)
    assert (found[0][0][:, [0, 1, 17]] == 0).all()
    assert (found[0][2][:, [0, 1, 17]] == 0).all()
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **constants), 1e-12)


@pytest.mark.parametrize("family", SMOOTH)
def test_nan_in_nan_out(family):
    x, wanted = inputs_of(5, 2, 2, seed=0)
    with torch.no_grad():
        x.value[-1, -1] = torch.nan
    constants = {**CONSTANTS, "family": family}
    (value, gradient, _), _ = jets_and_gradients(
        x, wanted, weights_of(2, 3, 17, 1, seed=0), "triton", **constants
    )
    assert value[-1].isnan().all()
    assert gradient[:, -1].isnan().all() or family == "relu"  # whose slope is a comparison
    assert not value[:-1].isnan().any()


def test_inputs_stay_as_they_are_and_a_retained_graph_gives_the_same_again():
    x, wanted = inputs_of(20, 2, 2, seed=0)
    weights = weights_of(2, 3, 5, 2, seed=0)
    before = [t.detach().clone() for t in [*wanted, *weights]]
    out = dispatch.product_layer(x, *weights, engine="triton", **CONSTANTS)
    total = out.laplacian.sum() + out.gradient.square().sum()
    first, second = (torch.autograd.grad(total, [*wanted, *weights], retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, [*wanted, *weights], strict=True))


def test_rows_that_are_equal_may_be_given_once():
    short, _ = inputs_of(9, 2, 1, seed=0, constant=True)
    long = Taylor(short.value, short.gradient.contiguous(), short.laplacian.contiguous())
    weights = weights_of(2, 3, 17, 2, seed=0)
    found = jets_and_gradients(short, [], weights, "triton", **CONSTANTS)
    agree(found, jets_and_gradients(long, [], weights, "triton", **CONSTANTS), 1e-13)


def test_only_the_inputs_are_kept_for_the_backward_pass():
    x, _ = inputs_of(100, 2, 2, seed=0)
    weights = weights_of(2, 8, 16, 1, seed=0)
    kept = bytes_saved(lambda: dispatch.product_layer(x, *weights, engine="triton", **CONSTANTS))
    assert kept < 0.5 * 100 * 8 * 16 * 8  # half of one (n, D, R) tensor


@pytest.mark.parametrize("family", SMOOTH)
def test_errors_of_the_kernels(family):
    """Constants in single precision would show here: errors would be near 1e-8."""
    generator = torch.Generator().manual_seed(0)
    spans = [torch.linspace(-s, s, 2001, dtype=torch.float64) for s in (1e-6, 1.0, 3.0, 40.0, 1e4)]
    x = torch.cat([*spans, 1e4 * torch.randn(500, generator=generator, dtype=torch.float64)])
    found = triton_jets.probe(family, x)
    for k, (part, exact) in enumerate(
        zip(found, TRUTH[family](x.numpy().astype(np.longdouble)), strict=True)
    ):
        error = np.abs(part.numpy() - exact) / np.maximum(np.abs(exact), 1.0)
        assert float(error.max()) < 4e-15, f"derivative {k}"


def test_a_plane_wave_has_the_laplacian_of_the_formula():
    k = torch.tensor([3.0, -2.0], dtype=torch.float64)
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, zero = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    t = lift(x, torch.zeros(2).double(), torch.ones(2).double())
    weights = (k.view(1, 1, 2), zero[0], one, one, zero)
    constants = {"family": "sin", "gamma": 1.0, "offset": 1.0, "centre": 0.0}
    out = dispatch.product_layer(t, *weights, engine="triton", **constants)
    torch.testing.assert_close(out.laplacian[:, 0], -13 * (x @ k).sin(), rtol=0, atol=2e-14)
