"""Expressions: the right values and derivatives, and nothing that is not arithmetic."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.expression import compile_expression
from lrnn_cli.numerics.jets import nested

POINTS = torch.from_numpy(np.random.default_rng(0).uniform(0.1, 0.9, (40, 2)))

SMOOTH = [
    "sin(8*pi*x)*sin(8*pi*y)",
    "x^2 + 1",
    "-x**2",
    "2^x",
    "x^y",
    "r^(2/3) * sin(2*theta/3)",
    "atan2(y, x) * max(x, y)",
    "1 if x < 0.5 else y^3",
    "erf(x)/(1 + y) - min(x, 0.5)",
    "acos(x)*asin(y) + atan(x*y)*tan(x)",
    "sinh(x)*cosh(y) + tanh(x - y)",
    "log(x) + sqrt(y) + abs(x - 2) + exp(-x*y)",
    "step(x - 0.5) * sign(y)",
    "x1*x2 + 3",
    "r^2 + r^4/(1 + r^-2) + exp(-r**2)",
    "7",
]


@pytest.mark.parametrize("text", SMOOTH)
def test_jets_equal_nested_differentiation(text: str) -> None:
    expression = compile_expression(text, 2)
    forward, reference = expression.jet(POINTS), nested(expression, POINTS)
    torch.testing.assert_close(forward.value, reference.value, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(forward.gradient, reference.gradient, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(forward.laplacian, reference.laplacian, rtol=1e-10, atol=1e-10)


def test_power_binds_as_in_mathematics() -> None:
    x = torch.tensor([[3.0]], dtype=torch.float64)
    assert float(compile_expression("x^2+1", 1)(x)) == 10
    assert float(compile_expression("-x^2", 1)(x)) == -9
    assert float(compile_expression("2^3^2/x", 1)(x)) == pytest.approx(512 / 3)
    assert float(compile_expression("k*e^0 + pi", 1, parameters={"k": 2.0})(x)) == pytest.approx(2 + math.pi)


NUMBERS = st.floats(0.1, 3.0).map(lambda v: f"{v:.3f}")
TREES = st.recursive(
    st.one_of(NUMBERS, st.sampled_from(["x", "y", "pi"])),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda t: f"({t[0]} {t[1]} {t[2]})"),
        st.tuples(st.sampled_from(["sin", "cos", "tanh", "exp"]), inner).map(lambda t: f"{t[0]}({t[1]})"),
        inner.map(lambda t: f"-({t})"),
    ),
    max_leaves=8,
)


@given(TREES)
def test_values_equal_numpy(text: str) -> None:
    x, y = POINTS.numpy().T
    names = {"sin": np.sin, "cos": np.cos, "tanh": np.tanh, "exp": np.exp, "pi": np.pi, "x": x, "y": y}
    with np.errstate(all="ignore"):
        expected = eval(text, {"__builtins__": {}}, names) + 0 * x  # the strategy above wrote it
    found = compile_expression(text, 2)(POINTS).numpy()
    kept = np.isfinite(expected) & (np.abs(expected) < 1e8)
    np.testing.assert_allclose(found[kept], expected[kept], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "not allowed"),
        ("__import__('os')", "unknown function '__import__'"),
        ("x.real", "attributes are not allowed"),
        ("(1).__class__", "attributes are not allowed"),
        ("lambda: x", "lambda is not allowed"),
        ("[x for x in y]", "comprehension"),
        ("x[0]", "indexing is not allowed"),
        ("x, y", "a comma is not allowed"),
        ("9**9**9", "column 4: exponent 3.8742e[+]08"),
        ("x^1000", "exponent 1000"),
        ("1e999", "beyond 1e308"),
        ("9" * 3000, "beyond 1e308|cannot be read|nested"),
        ("(" * 10_000 + "x" + ")" * 10_000, "characters, at most"),
        ("(" * 500 + "x" + ")" * 500, "column 121: more than 120 nested brackets"),
        ("-" * 3000 + "x", "nested"),
        ("+".join("x" * 1500), "nested more than"),
        ("", "empty"),
        ("2x", "write products with"),
        ("3(x)", "not allowed"),
        ("sinn(x)", "did you mean sin"),
        ("z + 1", "column 1: unknown name 'z'"),
        ("x^2 + q", "column 7: unknown name 'q'"),
        ("sin", "is a function"),
        ("atan2(x)", "takes 2 arguments"),
        ("sin(x, y=1)", "takes 1 argument"),
        ("x = 1", "cannot be read"),
        ("x if y else 1", "expected one comparison"),
        ("'text'", "expected a number"),
        ("True", "expected a number"),
        ("x // 2", "operator FloorDiv not allowed"),
        ("x\n+ y", "unexpected character"),
        ("x := 2", "cannot be read"),
        ("ｘ", "unexpected character"),
    ],
)
def test_everything_else_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        compile_expression(text, 2, name="f")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("f")
    assert len(str(caught.value)) < 300


@given(st.text(alphabet="xyr0123456789.+-*/^() eisncoqt,<>=_[]{}'\":;@!lambdf", max_size=40))
def test_no_text_does_anything_but_evaluate_or_be_refused(text: str) -> None:
    try:
        expression = compile_expression(text, 2)
    except ConfigError:
        return
    assert expression(POINTS).shape == (len(POINTS),)
    assert expression.jet(POINTS).gradient.shape == (2, len(POINTS))


@pytest.mark.parametrize(
    ("text", "smooth"),
    [
        ("x^2*sin(y) - 2^0.5 + sqrt(2)", True), ("2^x", True), ("1/(1 + x^2)", True), ("abs(3)*x", True),
        ("x^0.5", False), ("(x^2 + y^2)^(1/2)", False), ("abs(x)", False), ("x > 0", False), ("r", False),
        ("x if y > 0 else y", False), ("x^y", False), ("min(x, 2)", False),
        ("acos(x)", False), ("theta", False),
        ("exp(-r^2) + r^(4)", True), ("r^3", False), ("r^2*r", False), ("r^2.5", False),
    ],
)  # fmt: skip
def test_kinks_and_roots_are_seen(text: str, smooth: bool) -> None:
    assert compile_expression(text, 2).smooth is smooth


@pytest.mark.parametrize(
    ("text", "poles"),
    [
        ("x/2 + 1/3 + tan(1)", False), ("exp(-x^2)", False), ("x^2", False), ("2^-1*x", False),
        ("1/(1 + x^2)", True), ("x^-1", True), ("tan(y)", True), ("atan((y + 2)/x)", True),
    ],
)  # fmt: skip
def test_poles_are_suspected(text: str, poles: bool) -> None:
    assert compile_expression(text, 2).poles is poles


@pytest.mark.parametrize(
    ("text", "at", "value", "slope", "laplacian"),
    [
        ("0 if x < 0 else sqrt(x)", -1.0, 0, 0, 0),
        ("0 if x < 0 else x^1.5", -0.5, 0, 0, 0),
        ("log(x) if x > 0 else 3", -2.0, 3, 0, 0),
        ("min(1/(x + 0.5), 2)", -0.5, 2, 0, 0),
        ("max(2, 1/x)", 0.25, 4, -16, 128),
    ],
)
def test_the_branch_not_taken_leaves_no_trace(
    text: str, at: float, value: float, slope: float, laplacian: float
) -> None:
    jet = compile_expression(text, 1).jet(torch.tensor([[at]], dtype=torch.float64))
    assert (float(jet.value), float(jet.gradient), float(jet.laplacian)) == (value, slope, laplacian)


@pytest.mark.parametrize(
    ("text", "laplacian"), [("r^2", 6), ("r^4", 0), ("exp(-r^2)", -6), ("3 + r^2*cos(x)", 6), ("r^0", 0)]
)
def test_even_powers_of_the_radius_are_smooth_at_the_origin(text: str, laplacian: float) -> None:
    origin = torch.zeros(1, 3, dtype=torch.float64)
    found = compile_expression(text, 3).jet(origin)
    assert not found.gradient.any()
    assert float(found.laplacian) == pytest.approx(laplacian, abs=1e-14)
    assert compile_expression("r^2 + x", 1, parameters={"r": 3.0})(origin[:, :1]).tolist() == [9.0]
