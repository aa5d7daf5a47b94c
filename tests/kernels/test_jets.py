"""Value, gradient and Laplacian of the product layer: engines against the reference, that against nesting."""

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lrnn_cli.errors import ConfigError
from lrnn_cli.kernels import dispatch, fused_jets, native, native_jets
from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.numerics.jets import nested
from lrnn_cli.numerics.taylor import Taylor, lift
from tests.kernels.support import ZERO_PHASE, bytes_saved, compiled_engine, draw

ENGINES = ["fused", *compiled_engine()]
SMOOTH = sorted(name for name, family in FAMILIES.items() if family.to_third is not None)
ANALYTIC = sorted(set(SMOOTH) - {"relu", "bspline"})
LAW = settings(max_examples=60)
CPU = torch.device("cpu")
CONSTANTS = {"family": "spder", "gamma": 0.6, "offset": 1.0, "centre": 0.3}


def inputs_of(n, d, m, *, seed, constant=False, dtype=torch.float64):
    """The layer's inputs with gradient and Laplacian, and those of them that want gradients."""
    generator = torch.Generator().manual_seed(seed)

    def number(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype)

    if constant:  # scaled coordinates
        return lift(number(n, d), number(d), number(d).abs() + 0.5), []
    parts = [number(n, d), number(m, n, d), number(n, d)]
    parts = [part.requires_grad_() for part in parts]
    return Taylor(*parts), parts


def jets_and_gradients(x, wanted, weights, engine, **constants):
    """The three results, and the gradients of a random combination of them by all that is wanted."""
    out = dispatch.product_layer(x, *weights, engine=engine, **constants)
    results = [out.value, out.gradient, out.laplacian]
    generator = torch.Generator().manual_seed(7)
    upstream = [torch.randn(t.shape, generator=generator, dtype=torch.float64).to(t.dtype) for t in results]
    gradients = torch.autograd.grad(results, [*wanted, *weights], upstream, allow_unused=True)
    gradients = [torch.zeros(()) if g is None else g for g in gradients]
    return [t.detach() for t in results], gradients


def agree(found, expected, tolerance):
    for k, (a, b) in enumerate(zip([*found[0], *found[1]], [*expected[0], *expected[1]], strict=True)):
        if b.numel() <= 1 and not b.shape:  # no gradient
            continue
        assert a.shape == b.shape
        size = max(1.0, float(b.abs().max())) if b.numel() else 1.0
        error = float((a.double() - b.double()).abs().max()) if b.numel() else 0.0
        assert error <= tolerance * size, f"tensor {k}: error {error:.2e} of {size:.2e}"


def weights_of(d, n_factors, n_neurons, width, seed, dtype=torch.float64):
    return draw(1, d, n_factors, n_neurons, width, seed=seed, dtype=dtype)[1:]


@pytest.mark.parametrize("family", ANALYTIC)
@pytest.mark.parametrize("m", [1, 3])
def test_the_reference_equals_nested_differentiation(family, m):
    constants = {**CONSTANTS, "family": family}
    weights = weights_of(2, 3, 4, 2, seed=0)
    mixing = torch.randn(m, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = torch.randn(5, m, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    t = lift(points, torch.zeros(m).double(), torch.ones(m).double())
    for k in range(4):

        def neuron(x, k=k):
            layer = dispatch.product_layer((x @ mixing).sin(), *weights, engine="reference", **constants)
            return layer[:, k]

        truth = nested(neuron, points)
        found = dispatch.product_layer((t @ mixing).sin(), *weights, engine="reference", **constants)
        torch.testing.assert_close(found.value[:, k], truth.value, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.gradient[:, :, k], truth.gradient, rtol=1e-11, atol=1e-11)
        torch.testing.assert_close(found.laplacian[:, k], truth.laplacian, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("engine", ENGINES)
@LAW
@given(
    st.sampled_from(SMOOTH),
    st.integers(0, 9),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(1, 6),
    st.one_of(st.integers(1, 9), st.sampled_from([31, 32, 33, 64, 70])),
    st.integers(1, 3),
    st.sampled_from([0.0, 1.0]),
    st.booleans(),
    st.integers(0, 10**6),
)
@example("spder", 1, 1, 1, 1, 1, 1, 1.0, False, 0)
@example("sin", 0, 2, 2, 3, 33, 2, 1.0, False, 0)
@example("sin", 0, 2, 2, 3, 33, 2, 1.0, True, 0)
@example("sin", 1, 2, 2, 3, 33, 2, 1.0, True, 0)
def test_equals_the_reference(engine, family, n, d, m, n_factors, n_neurons, width, offset, constant, seed):
    constants = {"family": family, "gamma": n_factors**-0.5, "offset": offset, "centre": 0.4}
    x, wanted = inputs_of(n, d, m, seed=seed, constant=constant)
    weights = weights_of(d, n_factors, n_neurons, width, seed)
    found = jets_and_gradients(x, wanted, weights, engine, **constants)
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **constants), 1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 32, 33, 50])
@pytest.mark.parametrize("constant", [False, True])
def test_blocks_of_16_points(engine, n, constant, monkeypatch):
    monkeypatch.setattr(fused_jets, "CPU_BLOCK_BYTES", 1)
    monkeypatch.setattr(native_jets, "BLOCK_BYTES", 1)
    x, wanted = inputs_of(n, 2, 3, seed=n, constant=constant)
    weights = weights_of(2, 3, 5, 2, seed=n)
    found = jets_and_gradients(x, wanted, weights, engine, **CONSTANTS)
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **CONSTANTS), 1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", SMOOTH)
def test_zero_factors(engine, family):
    constants = {"family": family, "gamma": 0.5, "offset": 1.0, "centre": -0.5}
    x, wanted = inputs_of(6, 2, 2, seed=1)
    weights = weights_of(2, 3, 35, 1, seed=1)
    with torch.no_grad():
        for j, k in ((0, 0), (1, 1), (2, 1), (0, 34), (1, 34), (2, 34)):
            weights[2][:, j, k], weights[3][:, j, k], weights[4][:, j, k] = -4.0, 0.0, ZERO_PHASE[family]
    found = jets_and_gradients(x, wanted, weights, engine, **constants)
    assert (found[0][0][:, [0, 1, 34]] == 0).all()
    assert (found[0][2][:, [0, 1, 34]] == 0).all()
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **constants), 1e-12)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("family", ANALYTIC)
def test_gradcheck(engine, family):
    _, wanted = inputs_of(3, 2, 2, seed=0)
    weights = weights_of(2, 3, 2, 2, seed=0)

    def outputs(*tensors):
        found = dispatch.product_layer(
            Taylor(*tensors[:3]), *tensors[3:], engine=engine, **{**CONSTANTS, "family": family}
        )
        return found.value, found.gradient, found.laplacian

    assert torch.autograd.gradcheck(outputs, (*wanted, *weights))


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_that_are_equal_may_be_given_once(engine):
    """An expanded gradient gives what the same numbers written out give."""
    short, _ = inputs_of(40, 2, 2, seed=0, constant=True)
    assert short.gradient.stride(1) == 0
    assert short.laplacian.stride() == (0, 0)
    long = Taylor(short.value, short.gradient.contiguous(), short.laplacian.contiguous())
    weights = weights_of(2, 3, 33, 2, seed=0)
    found = jets_and_gradients(short, [], weights, engine, **CONSTANTS)
    agree(found, jets_and_gradients(long, [], weights, engine, **CONSTANTS), 1e-13)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_retained_graph_gives_the_same_gradients_again(engine):
    x, wanted = inputs_of(20, 2, 2, seed=0)
    weights = weights_of(2, 3, 5, 2, seed=0)
    out = dispatch.product_layer(x, *weights, engine=engine, **CONSTANTS)
    total = out.laplacian.sum() + out.gradient.square().sum()
    first, second = (torch.autograd.grad(total, [*wanted, *weights], retain_graph=True) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_one_derivative_only(engine):
    x, wanted = inputs_of(3, 2, 2, seed=0)
    weights = weights_of(2, 2, 2, 1, seed=0)
    out = dispatch.product_layer(x, *weights, engine=engine, **CONSTANTS)
    (gradient,) = torch.autograd.grad(out.laplacian.square().sum(), wanted[0], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("engine", ["reference", *ENGINES])
@pytest.mark.parametrize("family", SMOOTH)
def test_nan_in_nan_out(engine, family):
    x, wanted = inputs_of(5, 2, 2, seed=0)
    with torch.no_grad():
        x.value[-1, -1] = torch.nan
    weights = weights_of(2, 3, 33, 1, seed=0)
    (value, gradient, _), _ = jets_and_gradients(
        x, wanted, weights, engine, **{**CONSTANTS, "family": family}
    )
    assert value[-1].isnan().all()
    assert gradient[:, -1].isnan().all() or family == "relu"  # whose slope is a comparison
    assert not value[:-1].isnan().any()


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_stay_as_they_are(engine):
    x, wanted = inputs_of(40, 2, 2, seed=0)
    weights = weights_of(2, 3, 5, 1, seed=0)
    before = [t.detach().clone() for t in [*wanted, *weights]]
    jets_and_gradients(x, wanted, weights, engine, **CONSTANTS)
    assert all(torch.equal(a, b) for a, b in zip(before, [*wanted, *weights], strict=True))


@pytest.mark.parametrize("engine", [*ENGINES, "triton"])
def test_single_precision_is_tensor_code(engine):
    """Machine code is for float64; the engine of the values of a layer may have another name."""
    x, wanted = inputs_of(9, 2, 2, seed=0, dtype=torch.float32)
    weights = weights_of(2, 3, 5, 1, seed=0, dtype=torch.float32)
    found = jets_and_gradients(x, wanted, weights, engine, **CONSTANTS)
    assert found[0][0].dtype == torch.float32
    expected = jets_and_gradients(x, wanted, weights, "fused", **CONSTANTS)
    agree(found, expected, 0.0)
    exact = [t.detach().double().requires_grad_() for t in weights]
    parts = [t.detach().double().requires_grad_() for t in wanted]
    agree(found, jets_and_gradients(Taylor(*parts), parts, exact, "reference", **CONSTANTS), 1e-5)


def test_a_family_without_second_derivative_is_left_to_the_reference():
    x, wanted = inputs_of(9, 2, 2, seed=0)
    weights = weights_of(2, 3, 5, 1, seed=0)
    constants = {**CONSTANTS, "family": "spder-sqrt"}
    found = jets_and_gradients(x, wanted, weights, "fused", **constants)
    agree(found, jets_and_gradients(x, wanted, weights, "reference", **constants), 0.0)


def bytes_kept(engine, n):
    x, _ = inputs_of(n, 2, 2, seed=0)
    weights = weights_of(2, 8, 16, 1, seed=0)
    return bytes_saved(lambda: dispatch.product_layer(x, *weights, engine=engine, **CONSTANTS))


@pytest.mark.parametrize("engine", ENGINES)
def test_only_the_inputs_are_kept_for_the_backward_pass(engine):
    n, one = 500, 500 * 8 * 16 * 8  # bytes of one (n, D, R) tensor
    assert bytes_kept("reference", n) > 20 * one
    assert bytes_kept(engine, n) < 0.2 * one


@pytest.mark.parametrize("family", SMOOTH)
def test_derivatives_of_the_families(family):
    to_third = FAMILIES[family].to_third
    u = torch.linspace(-3.03, 2.98, 101, dtype=torch.float64, requires_grad=True)  # no kink among them
    found = to_third(u.detach())
    expected = FAMILIES[family].value(u)
    for k, part in enumerate(found):
        torch.testing.assert_close(part, expected.detach(), rtol=1e-12, atol=1e-12, msg=f"derivative {k}")
        if k < 3:
            (expected,) = (
                torch.autograd.grad(expected.sum(), u, create_graph=True)
                if expected.requires_grad
                else (torch.zeros_like(u),)
            )


@pytest.mark.parametrize("family", [f for f in native_jets.FAMILY_NUMBERS if compiled_engine()])
def test_errors_of_the_machine_code(family):
    generator = torch.Generator().manual_seed(0)
    spans = [torch.linspace(-s, s, 20_001, dtype=torch.float64) for s in (1e-6, 1.0, 3.0, 40.0, 1e4)]
    x = torch.cat([*spans, 1e4 * torch.randn(5000, generator=generator, dtype=torch.float64)])
    found = native_jets.probe(family, x)
    wide = x.numpy().astype(np.longdouble)
    truth = TRUTH[family](wide)
    for k, (part, exact) in enumerate(zip(found, truth, strict=True)):
        error = np.abs(part.numpy() - exact) / np.maximum(np.abs(exact), 1.0)
        assert float(error.max()) < 4e-15, f"derivative {k}"


def _spder(x):
    s, c, b, q = np.sin(x), np.cos(x), np.arctan(x), 1 / (1 + x * x)
    q2, q3 = -2 * x * q * q, (6 * x * x - 2) * q**3
    return s * b, c * b + s * q, -s * b + 2 * c * q + s * q2, -c * b - 3 * s * q + 3 * c * q2 + s * q3


def _gauss(x):
    e = np.exp(-x * x)
    return e, -2 * x * e, (4 * x * x - 2) * e, (12 - 8 * x * x) * x * e


def _tanh(x):
    t = np.tanh(x)
    s = 1 / np.cosh(np.clip(x, -300, 300)) ** 2
    return t, s, -2 * t * s, (6 * t * t - 2) * s


def _bspline(x):
    outer, inner = np.maximum(2 - abs(x), 0), np.maximum(1 - abs(x), 0)
    third = np.where(x < 0, -1, 1) * (4 * (inner > 0) - 1 * (outer > 0))
    return (
        (outer**3 - 4 * inner**3) / 6, np.sign(x) * (2 * inner**2 - outer**2 / 2), outer - 4 * inner,
        third,
    )  # fmt: skip


TRUTH = {
    "sin": lambda x: (np.sin(x), np.cos(x), -np.sin(x), -np.cos(x)),
    "spder": _spder,
    "gauss": _gauss,
    "tanh": _tanh,
    "relu": lambda x: (np.maximum(x, 0), (x > 0) * 1.0, 0 * x, 0 * x),
    "bspline": _bspline,
}


def choose(asked="auto", family="sin", **changes):
    where = {"dtype": torch.float64, "device": CPU, "laplacian": True, **changes}
    return dispatch.choose_engine(asked, family=family, **where)


def test_the_choice_of_an_engine(monkeypatch):
    assert choose("reference") == dispatch.Engine("reference", "asked for")
    assert choose("fused") == dispatch.Engine("fused", "asked for")
    kinky = choose(family="spder-sqrt")
    assert kinky == dispatch.Engine("reference", "the others have no Laplacian of 'spder-sqrt'")
    with pytest.raises(
        ConfigError, match="engine fused: it has no Laplacian of 'spder-sqrt'; use --engine auto"
    ):
        choose("fused", "spder-sqrt")
    with pytest.raises(ConfigError, match="engine triton: Triton needs an NVIDIA GPU; use --engine auto"):
        choose("triton")
    single = choose(dtype=torch.float32)
    assert single.reason == "the compiled kernel has no Laplacian of 'sin' in float32 on cpu"
    with pytest.raises(ConfigError, match="Laplacian of 'sin' in float32 on cpu; use --engine auto"):
        choose("compiled", dtype=torch.float32)
    monkeypatch.setenv("LRNN_NO_COMPILER", "1")
    assert choose() == dispatch.Engine("fused", "no C compiler on this machine")
    with pytest.raises(
        ConfigError, match="engine compiled: no C compiler on this machine; use --engine auto"
    ):
        choose("compiled")


@pytest.mark.parametrize("engine", compiled_engine())
def test_machine_code_is_chosen_for_long_runs(engine, monkeypatch):
    assert choose().name == engine
    monkeypatch.setattr(native, "is_built", lambda source=None: False)
    assert choose(long_run=False).reason == "too short a run to pay for compiling"
    monkeypatch.setattr(native_jets, "load", lambda: None)
    assert choose().reason == "compiling or loading native_jets.c failed on this machine"


def test_a_plane_wave_has_the_laplacian_of_the_formula():
    """One neuron of one factor 1 + sin(k·x): value, gradient k cos and Laplacian -|k|^2 sin, by hand."""
    k = torch.tensor([3.0, -2.0], dtype=torch.float64)
    x = torch.rand(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    one, zero = torch.ones(1, 1, 1, dtype=torch.float64), torch.zeros(1, 1, 1, dtype=torch.float64)
    weights = (k.view(1, 1, 2), zero[0], one, one, zero)
    t = lift(x, torch.zeros(2).double(), torch.ones(2).double())
    wave = x @ k
    for engine in ENGINES:
        out = dispatch.product_layer(
            t, *weights, family="sin", gamma=1.0, offset=1.0, centre=0.0, engine=engine
        )
        torch.testing.assert_close(out.value[:, 0], 1 + wave.sin(), rtol=0, atol=1e-14)
        torch.testing.assert_close(out.gradient[:, :, 0], k[:, None] * wave.cos(), rtol=0, atol=1e-14)
        torch.testing.assert_close(out.laplacian[:, 0], -13 * wave.sin(), rtol=0, atol=2e-14)


@pytest.mark.parametrize("engine", ["reference", *ENGINES])
def test_derivatives_that_do_not_fit(engine):
    x, _ = inputs_of(9, 2, 3, seed=0)
    weights = weights_of(2, 3, 5, 1, seed=0)
    for gradient, laplacian, said in (
        (
            x.gradient[:, :8],
            x.laplacian,
            "grad x (3, 9, 2) in float64 on cpu, got (3, 8, 2) in float64 on cpu",
        ),
        (x.gradient, x.laplacian.float(), "lap x (9, 2) in float64 on cpu, got (9, 2) in float32 on cpu"),
    ):
        with pytest.raises(ValueError) as caught:
            dispatch.product_layer(Taylor(x.value, gradient, laplacian), *weights, engine=engine, **CONSTANTS)
        assert str(caught.value) == f"product layer: expected {said}"
