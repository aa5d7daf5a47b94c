"""Where expressions jump or have kinks inside a domain, and where they only look as if they had."""

import pytest
import torch

from lrnn_cli.numerics.breaks import find_jump, find_kink
from lrnn_cli.numerics.cylinder import Cylinder
from lrnn_cli.numerics.domains import Annulus, Box, Disc, Polygon
from lrnn_cli.numerics.expression import compile_expression
from lrnn_cli.numerics.shape import Shape

LINE, SQUARE = Box(lower=(0.0,), upper=(1.0,)), Box(lower=(-1.0, -1.0), upper=(1.0, 1.0))
TEN = Box(lower=(0.0,) * 10, upper=(1.0,) * 10)
CUBE, TIME = Box(lower=(-1.0,) * 3, upper=(1.0,) * 3), Cylinder(base=LINE, time_to=1.0)


def found(text: str, domain: Shape) -> str:
    points = torch.cat([domain.heldout(2000, 0), domain.quadrature(4000)[0]])
    expression = compile_expression(text, points.shape[1], n_time=int(domain is TIME))
    if find_jump(expression, points, domain.inside) is not None:
        return "jump"
    return "" if find_kink(expression, points, domain.inside) is None else "kink"


@pytest.mark.parametrize(
    ("text", "domain", "expected"),
    [
        ("1 if x < 0.5 else 10", LINE, "jump"), ("1 if x <= 0.5 else 10", LINE, "jump"),
        ("step(x - 0.3)", LINE, "jump"), ("x + (x > 0.7)", LINE, "jump"), ("sign(y)", SQUARE, "jump"),
        ("1 + (r < 0.3)", SQUARE, "jump"), ("1/(x - 0.5)", LINE, "jump"),
        ("atan((x - 0.5)^-1)", LINE, "jump"), ("tan(pi*x)", LINE, "jump"),
        ("theta", SQUARE, "jump"), ("atan2(y, x)", SQUARE, "jump"),
        ("min(x, 1 - x)", LINE, "kink"), ("abs(x - 0.5)", LINE, "kink"), ("max(x, y)", SQUARE, "kink"),
        ("x if x < 0.5 else 0.5", LINE, "kink"), ("sqrt((x - 0.5)^2)", LINE, "kink"),
        ("r", Box(lower=(-1.0,), upper=(1.0,)), "kink"), ("((x - 0.5)^2)^0.25", LINE, "kink"),
        ("0 if x < 0.5 else sqrt(x - 0.5)", LINE, "kink"), ("log(r)", Disc(), "kink"),
        ("r^-2", SQUARE, "kink"), ("1/r", CUBE, "kink"), ("(1 + x)^y", SQUARE, "kink"),
        ("acos(x)", LINE, "kink"),
        # beside the domain, on its boundary, or of no consequence for a Laplacian
        ("abs(x - 2)", LINE, ""), ("step(x)", LINE, ""), ("sqrt(1 + x)", LINE, ""), ("1/(1 + x)", LINE, ""),
        ("theta", Box(lower=(-1.0, 0.0), upper=(1.0, 1.0)), ""), ("log(r)", Annulus(inner=0.1), ""),
        ("r^(2/3)*sin(2*theta/3) + 0.3*r^(4/3)*sin(4*theta/3) + sin(3*x)*exp(y)", Polygon(), ""),
        ("0 if x < 0.5 else (x - 0.5)^1.5", LINE, ""), ("abs(x)*x", SQUARE, ""), ("x^1.5", LINE, ""),
        ("r^0.5", SQUARE, ""), ("exp(-r^2)*x", SQUARE, ""), ("7", LINE, ""),
        ("1 + (0 if x < 0.5 else (x - 0.5)^0.3)", LINE, "kink"),  # a kink, but no jump
        # near 0 under a root, but not there
        ("sqrt(0.01 + x^2 + y^2)", SQUARE, ""), ("log(1.02 - x)", LINE, ""), ("sqrt(0.1 + r^2)", CUBE, ""),
        ("sqrt((x - 0.5)^2 + (y - 0.5)^2 + 1e-3)", SQUARE, ""), ("sqrt(2 + x1)", TEN, ""),
        # in time alone slopes may jump, in space they may not
        ("1 if t < 0.5 else 2", TIME, "kink"), ("abs(t - 0.5)", TIME, ""), ("abs(x - t)", TIME, "kink"),
        ("1 if x < 0.3 + 0.2*t else 2", TIME, "jump"),
    ],
)  # fmt: skip
def test_breaks(text: str, domain: Shape, expected: str) -> None:
    assert found(text, domain) == expected


def test_the_place_is_told() -> None:
    points = LINE.quadrature(400)[0]
    for look in (find_jump, find_kink):
        place = look(compile_expression("1 if x < 0.375 else 2", 1), points, LINE.inside)
        assert place is not None and float(place) == pytest.approx(0.375, abs=1e-12)
