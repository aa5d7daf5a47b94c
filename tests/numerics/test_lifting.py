"""Lifts: they take the data on the boundary, know their derivatives, and look at nothing inside."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.numerics.domains import Annulus, Box, Disc, Domain, Polygon
from lrnn_cli.numerics.expression import Expression, compile_expression
from lrnn_cli.numerics.jets import nested
from lrnn_cli.numerics.lifting import BoxLift, Lift, RingLift, lift

BOXES = (
    Box(lower=(-1.0,), upper=(2.0,)),
    Box(lower=(0.0, 1.0), upper=(2.0, 4.0)),
    Box(lower=(0.0,) * 3, upper=(1.0, 2.0, 3.0)),
)
IN_BOXES = ("exp(x) + 3", "exp(x)*sin(2*y) + x", "sin(2*x*y - z) + exp(y*z)")


def expression(text: str, d: int = 2) -> Expression:
    return compile_expression(text, d)


def found_lift(domain: Domain, *data: str | None, exact: str | None = None) -> Lift | None:
    d = len(domain.bounds()[0])
    sides = tuple(None if text is None else expression(text, d) for text in data)
    known = None if exact is None else expression(exact, d)
    return lift(domain, sides, known, domain.heldout(50, 0))


def assert_jet(found: Lift, domain: Domain) -> None:
    points = domain.heldout(40, 1)
    got, reference = found.jet(points), nested(lambda x: found.jet(x).value, points)
    torch.testing.assert_close(got.gradient, reference.gradient, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(got.laplacian, reference.laplacian, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize(("domain", "text"), list(zip(BOXES, IN_BOXES, strict=True)), ids=str)
def test_boxes(domain: Box, text: str) -> None:
    d = len(domain.lower)
    found = found_lift(domain, *[None] * (2 * d), exact=text)
    assert isinstance(found, BoxLift)
    edge = domain.boundary(120).points
    torch.testing.assert_close(found.jet(edge).value, expression(text, d)(edge), rtol=1e-13, atol=1e-13)
    assert_jet(found, domain)


@given(st.lists(st.floats(-3, 3), min_size=9, max_size=9))
def test_a_box_lift_knows_the_boundary_alone(c: list[float]) -> None:
    """A term that vanishes on the boundary changes nothing; sums of functions of one variable come back."""
    box, d = BOXES[1], 2
    outer = f"({c[0]})*x*y + ({c[1]})*sin(x) + ({c[2]})*y^3 + ({c[3]})"
    bubble = "x*(2-x)*(y-1)*(4-y)"
    inside = f"{outer} + {bubble}*(({c[4]})*x + ({c[5]})*y^2 + ({c[6]}) + sin(({c[7]})*x*y + ({c[8]})))"
    points = box.heldout(30, 2)
    one = found_lift(box, *[None] * 4, exact=outer)
    other = found_lift(box, *[None] * 4, exact=inside)
    assert one is not None
    assert other is not None
    torch.testing.assert_close(other.jet(points).laplacian, one.jet(points).laplacian, rtol=0, atol=1e-9)
    torch.testing.assert_close(one.jet(points).value, expression(outer, d)(points), rtol=0, atol=1e-11)


def test_faces_with_data_of_their_own() -> None:
    box = Box()
    found = found_lift(box, "0", "0", "0", "sin(pi*x)")
    assert found is not None
    x, y = (points := box.heldout(20, 3)).T
    torch.testing.assert_close(found.jet(points).value, y * (torch.pi * x).sin(), rtol=1e-12, atol=1e-12)


def test_annulus() -> None:
    domain = Annulus(centre=(0.5, 0.0), inner=0.5, outer=1.0)
    found = found_lift(domain, "x*y", "1 + sin(x)")
    assert isinstance(found, RingLift)
    where = domain.boundary(60)
    outer = where.side == 0
    value, points = found.jet(where.points).value, where.points
    torch.testing.assert_close(value[outer], points[outer].prod(1))
    torch.testing.assert_close(value[~outer], 1 + points[~outer, 0].sin())
    assert_jet(found, domain)


def test_one_expression_around() -> None:
    disc, triangle = Disc(), Polygon(vertices=((0, 0), (1, 0), (0, 1)))
    points = disc.heldout(10, 1)
    found = found_lift(disc, "x*y")
    assert found is not None
    assert torch.equal(found.jet(points).value, points.prod(1))
    assert isinstance(found_lift(triangle, "x", "x", "x"), Expression)
    assert found_lift(triangle, "x", "x", "0") is None


@pytest.mark.parametrize(
    ("domain", "data", "exact"),
    [
        (Disc(), (None,), "x*y"),  # the exact solution is not taken inside
        (Annulus(), (None, "0"), "x*y"),
        (Box(), ("abs(x - y)",) * 4, None),  # kinks
        (Box(), ("sqrt(x)",) * 4, None),
        (Disc(), ("1/(x^2 + y^2)",), None),  # poles inside, between the points that are looked at
        (Disc(), ("atan((y + 2)/x)",), None),
        (Box(lower=(-1.0, -1.0), upper=(1.0, 1.0)), ("tanh(1/x)",) * 4, None),
        (Disc(), ("exp(exp(exp(exp(x + 3))))",), None),  # overflows
    ],
    ids=("disc", "ring", "kink", "root", "pole", "jump", "step", "overflow"),
)
def test_where_there_is_none(domain: Domain, data: tuple[str | None, ...], exact: str | None) -> None:
    sides = tuple(None if text is None else expression(text) for text in data)
    probe = domain.heldout(50, 0)
    assert lift(domain, sides, None if exact is None else expression(exact), probe) is None
