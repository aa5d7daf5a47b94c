"""The named functions: values by formulas of their own, statistics, distances, and refusals."""

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.expression import compile_expression
from lrnn_cli.numerics.regularity import zygmund
from lrnn_cli.objectives.function_targets import NAMED, Choices, expression_target, named_target

CUBE = st.integers(0, 2**31).map(lambda seed: np.random.default_rng(seed).uniform(-1, 1, (20, 2)))


def made(name, **more):
    return named_target(name, Choices(**more))


@pytest.mark.parametrize("name", NAMED)
def test_every_target_says_what_it_is(name):
    target = made(name)
    x = np.random.default_rng(0).uniform(-1, 1, (500, target.n_inputs))
    values = target.values(x)
    assert values.shape == (500,) and values.dtype == np.float64 and np.isfinite(values).all()
    assert target.name == name and target.formula and target.source
    assert (target.irregular is None) == (target.distance is None)
    assert 0 < target.order <= 2


@settings(max_examples=10)
@given(CUBE)
def test_the_formula_written_as_an_expression_has_the_same_values(x):
    pairs = {
        "(sin(4*pi*x) + cos(pi*x)*sin(4*pi*y))/2": made("high-frequency"),
        "tanh((sqrt(x^2 + y^2) - 0.5)/0.2)": made("sharp-ring", epsilon=0.2),
        "tanh((x*sqrt(3)/2 + y/2 - 0.1)/0.05)": made("sharp-line"),
        "(x^2 + y^2)^0.7": made("cusp", dim=2, alpha=1.4),
        "sqrt((x-0.3)^2 + (y-0.3)^2)*log(sqrt((x-0.3)^2 + (y-0.3)^2))": made("cusp-log", dim=2),
    }
    for text, target in pairs.items():
        assert expression_target(text, 2).values(x) == pytest.approx(target.values(x), rel=1e-9, abs=1e-12)


def test_waves_in_one_variable():
    x = np.linspace(-1, 1, 101)[:, None]
    chirp = compile_expression("sin(2*pi*(2*(x+1)/2 + 19*((x+1)/2)^2))", 1)
    assert expression_target(chirp.text, None).values(x) == pytest.approx(made("chirp").values(x), abs=1e-9)
    u = "((cos(13*pi*(x+1)) + cos(17*pi*(x+1)))/2)"
    found = expression_target(f"{u} + {u}^2/2 + {u}^3/4", 1).values(x)
    assert found == pytest.approx(made("intermodulation").values(x), abs=1e-9)


def test_intermodulation_holds_sums_and_differences_and_nothing_else():
    n = 512  # cycles over the interval are the bins
    t = (np.arange(n) + 0.5) / n
    amplitude = np.abs(np.fft.rfft(made("intermodulation").values(2 * t[:, None] - 1))) / n
    a, b = 13, 17
    expected = {0, a, b, b - a, a + b, 2 * a, 2 * b, 2 * a - b, 2 * b - a, 2 * a + b, a + 2 * b, 3 * a, 3 * b}
    assert set(np.flatnonzero(amplitude > 1e-9).tolist()) == expected


def test_anova_has_variance_one_and_no_interaction_beyond_its_order():
    # the mean over m + 1 chosen variables' product basis vanishes: a tensor quadrature in 3 variables
    n = 16
    nodes = (2 * np.arange(n) + 1) / n - 1  # exact for these sines
    grid = np.stack([g.reshape(-1) for g in np.meshgrid(nodes, nodes, nodes, indexing="ij")], 1)
    for m in (1, 2, 3):
        f = made("anova", dim=3, order=m).values(grid).reshape(n, n, n)
        assert f.mean() == pytest.approx(0, abs=1e-12) and f.var() == pytest.approx(1, rel=1e-12)
        # ANOVA parts: each order of interaction holds 1/m of the variance
        parts = {(): np.full_like(f, f.mean())}
        for p in (1, 2, 3):
            for chosen in combinations(range(3), p):
                rest = tuple(k for k in range(3) if k not in chosen)
                mean = f.mean(rest, keepdims=True) if rest else f
                lower = [part for key, part in parts.items() if set(key) < set(chosen)]
                parts[chosen] = mean - sum(lower)
        for p in (1, 2, 3):
            variance = sum(float((part**2).mean()) for key, part in parts.items() if len(key) == p)
            assert variance == pytest.approx(1 / m if p <= m else 0, abs=1e-12)


def test_labels_are_signs_drawn_by_the_seed_one_per_cell():
    target, other = made("random-labels"), made("random-labels", seed=1)
    centres = (np.arange(50) * 2 + 1) / 50 - 1
    grid = np.stack([g.reshape(-1) for g in np.meshgrid(centres, centres, indexing="ij")], 1)
    labels = target.values(grid)
    assert set(labels.tolist()) == {-1.0, 1.0} and abs(labels.mean()) < 0.06
    assert np.array_equal(labels, target.values(grid + 0.019))
    assert 0.4 < (labels == other.values(grid)).mean() < 0.6
    assert target.labels and target.values(np.array([[1.0, -1.0]])).shape == (1,)


@settings(max_examples=10)
@given(CUBE)
def test_distances_are_those_to_the_set(x):
    t = np.linspace(0, 2 * math.pi, 3001)
    ring = 0.5 * np.stack([np.cos(t), np.sin(t)], 1)
    s = np.linspace(-3, 3, 6001)[:, None]
    normal = np.array([math.sqrt(3) / 2, 0.5])
    line = 0.1 * normal + s * np.array([-normal[1], normal[0]])
    sets = {
        "sharp-ring": ring,
        "sharp-line": line,
        "cusp": np.zeros((1, 2)),
        "cusp-log": np.full((1, 2), 0.3),
    }
    for name, curve in sets.items():
        dim = 2 if name.startswith("cusp") else None
        slow = np.linalg.norm(x[:, None] - curve, axis=2).min(1)
        assert made(name, dim=dim).distance(x) == pytest.approx(slow, abs=2e-3)


def test_the_cusp_with_a_logarithm_is_zero_where_the_logarithm_is_not():
    assert made("cusp-log").values(np.array([[0.3]])) == 0


def test_an_expression_takes_the_least_dimension_that_has_its_names():
    assert [expression_target(text, None).n_inputs for text in ("x", "x*y", "z", "theta", "3", "r")] == [
        1,
        2,
        3,
        2,
        1,
        1,
    ]
    assert expression_target("x64", 64).mesh is None
    x = np.random.default_rng(0).uniform(-1, 1, (70_000, 1))  # more than a chunk
    assert expression_target("2*x", None).values(x) == pytest.approx(2 * x[:, 0])


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("shrp-ring", {}, "unknown 'shrp-ring'; did you mean 'sharp-ring'"),
        ("zzz", {}, "unknown 'zzz'; known: high-frequency"),
        ("chirp", {"alpha": 1.0}, "--alpha means nothing for chirp; it belongs to cusp, cusp-log"),
        ("chirp", {"dim": 2}, "--dim 2: chirp is defined in 1 dimensions"),
        ("anova", {"dim": 65}, "--dim 65: anova is defined in 2 … 64 dimensions"),
        ("anova", {"dim": 3, "order": 4}, "--order 4: anova in 3 dimensions has interactions of order 1 … 3"),
    ],
)
def test_what_makes_no_sense(name, more, words):
    with pytest.raises(ConfigError, match=words.replace("…", ".")):
        made(name, **more)


@pytest.mark.parametrize(
    ("text", "dim", "words"), [("x", 65, "--dim 65: expected 1"), ("y", 1, "unknown name 'y'")]
)
def test_expressions_that_make_no_sense(text, dim, words):
    with pytest.raises(ConfigError, match=words):
        expression_target(text, dim)


@pytest.mark.parametrize(("alpha", "order"), [(None, 0.5), (1.6, 0.8), (10.0, 2.0)])
def test_the_order_of_the_cusp_with_a_logarithm_is_one_whose_seminorm_is_finite(alpha, order):
    target = made("cusp-log", alpha=alpha)
    assert target.order == order
    found, at_alpha = [], []
    for n in (201, 20001):  # x0 is a sample of both
        x = 0.3 + np.linspace(-0.7, 0.7, n)
        values = target.values(x[:, None])
        found.append(zygmund(values, [1.4 / (n - 1)], target.order))
        at_alpha.append(zygmund(values, [1.4 / (n - 1)], min(alpha or 1.0, 2.0)))
    assert found[1] == pytest.approx(found[0], rel=0.02)
    assert at_alpha[1] > 1.5 * at_alpha[0] or order == 2
