"""Unsteady problems as data: the operator in space-time, its rows, what is checked and what is said."""

import math
from typing import Any

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.cylinder import Cylinder
from lrnn_cli.numerics.domains import Box, Disc, Polygon
from lrnn_cli.numerics.expression import compile_expression
from lrnn_cli.objectives.poisson import Problem, ProblemConfig
from lrnn_cli.objectives.unsteady import UnsteadyProblem, compile_equation

LINE = Box(lower=(0.0,), upper=(2.0,))


def problem(**data: Any) -> Problem:
    return compile_equation(ProblemConfig(**{"time_to": 1.5, "domain": LINE, **data}))


def test_expressions_in_time_and_space_against_nested_differentiation() -> None:
    text = "exp(-t*x)*sin(x*y + 2*t) + r^2*cos(t) + t^3 + theta"
    found = compile_expression(text, 3, n_time=1)
    points = torch.rand(25, 3, dtype=torch.float64) + 0.2
    z = points.clone().requires_grad_(True)
    t, x, y = z.T
    value = (-t * x).exp() * (x * y + 2 * t).sin() + (x * x + y * y) * t.cos() + t**3 + torch.atan2(y, x)
    gradient = torch.autograd.grad(value.sum(), z, create_graph=True)[0]
    second = [torch.autograd.grad(gradient[:, k].sum(), z, retain_graph=True)[0][:, k] for k in (1, 2)]
    jet = found.jet(points)
    torch.testing.assert_close(found(points), value.detach())
    torch.testing.assert_close(jet.value, value.detach())
    torch.testing.assert_close(jet.gradient.T, gradient.detach())
    torch.testing.assert_close(jet.laplacian, sum(second))


def test_the_source_of_an_exact_solution() -> None:
    found = problem(exact="exp(-t)*sin(2*x)", a="1 + x*t", velocity=["x"], c="3")
    points = torch.rand(20, 2, dtype=torch.float64)
    t, x = points.T
    u, slope, curvature = (
        (-t).exp() * part for part in ((2 * x).sin(), 2 * (2 * x).cos(), -4 * (2 * x).sin())
    )
    expected = -u - (1 + x * t) * curvature - t * slope + x * slope + 3 * u
    torch.testing.assert_close(found.source_term(points), expected)
    rows = found.interior(points)
    assert found.exact is not None
    torch.testing.assert_close(rows.apply(found.exact.jet(points)), rows.target)


def test_initial_and_boundary_rows() -> None:
    found = problem(f="0", initial="x*(2-x)", boundary={"x0": {"dirichlet": "0"}, "x1": {"neumann": "t"}})
    where = found.domain.boundary(90)
    rows, values = found.boundary(where)
    assert set(where.side.tolist()) == {0, 1, 2}
    start, mantle = where.side == 0, where.side == 2
    x = where.points[:, 1]
    torch.testing.assert_close(rows.target[start], (x * (2 - x))[start])
    torch.testing.assert_close(rows.target[mantle], where.points[mantle, 0])
    assert not bool(values[mantle].any())
    assert bool((rows.first[mantle] == torch.tensor([0.0, 1.0])).all())
    assert not found.hard


def test_only_inflow_has_a_condition_where_nothing_diffuses() -> None:
    found = problem(exact="exp(x - t)", a="0", velocity=["1"])
    rows, _ = found.boundary(found.domain.boundary(60))
    edge = rows.points[rows.points[:, 0] > 0]
    assert len(edge) and bool((edge[:, 1] == 0).all())
    assert "only inflow" in " ".join(found.notes)


@pytest.mark.parametrize("base", [LINE, Box(), Disc(), Polygon()], ids=lambda base: base.kind)
def test_the_cylinder_integrates_and_holds_its_points(base: Any) -> None:
    cylinder = Cylinder(base=base, time_to=1.5)
    points, weights = cylinder.quadrature(2000)
    assert float(weights.sum()) == pytest.approx(1.5 * base.volume, rel=1e-6)
    assert float((weights * points[:, 0]).sum()) == pytest.approx(1.5**2 / 2 * base.volume, rel=1e-6)
    edge = cylinder.boundary(300)
    assert bool(cylinder.inside(edge.points).all()) and bool(cylinder.inside(points).all())
    assert bool((edge.points[edge.side == 0, 0] == 0).all())
    torch.testing.assert_close(edge.normals.norm(dim=1), torch.ones(len(edge.points), dtype=torch.float64))
    assert cylinder.sides == ("initial", *base.sides)
    assert cylinder.mask(points) is None
    assert not bool(cylinder.inside(points + torch.tensor([2.0, *(0.0,) * (points.shape[1] - 1)])).any())


def test_constant_of_the_bound() -> None:
    rate = math.pi**2 / 4
    found = problem(f="0", initial="x*(2-x)").bound_constant()
    assert found == pytest.approx(((1 - math.exp(-1.5 * rate)) / rate, True))
    assert problem(f="0", initial="0", a="0").bound_constant() == (1.5, True)
    compressed = problem(f="0", initial="0", a="0", velocity=["2*x"]).bound_constant()
    assert compressed == pytest.approx((math.expm1(1.5), True))
    assert problem(f="0", initial="0", c="-1e4").bound_constant() is None
    assert problem(f="0", initial="0", boundary={"x0": {"neumann": "0"}}).bound_constant() is None


def test_what_is_said() -> None:
    jump = problem(f="0", initial="1")
    assert "disagree at t = 0, (0): 1 and 0" in " ".join(jump.notes)
    assert not problem(f="0", initial="x*(2-x)").notes
    assert "no singular functions" in " ".join(problem(f="1", initial="0", domain=Polygon()).notes)
    assert isinstance(jump, UnsteadyProblem)
    assert jump.coordinates == ("t", "x")
    assert compile_equation(ProblemConfig(f="1")).coordinates == ("x", "y")


def test_what_jumps_in_space_has_no_bound_or_is_refused() -> None:
    still = {"f": "0", "initial": "0"}
    for whole in (
        {"a": "1 if t < 0.5 else 2"},
        {"velocity": ["sign(t - 0.5)"]},
        {"velocity": ["abs(x - 1)"]},
    ):
        found = problem(**still, **whole)
        assert found.bound_constant() is not None and found.notes == ()
    broken = problem(**still, velocity=["1 if x < 1 else 3"])
    assert broken.bound_constant() is None
    assert "velocity 1 jumps at (" in broken.notes[0] and "there is no bound of the error" in broken.notes[0]
    assert problem(exact="abs(x - 1 - t/10)").bound_constant() is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"f": "0", "initial": "0", "a": "1 if x < 1 + t/10 else 2"}, "a: jumps at "),
        ({"initial": "0"}, "give f, or an exact solution"),
        ({"f": "0"}, "initial: give u at t = 0"),
        ({"f": "0", "initial": "0", "velocity": ["1", "2"]}, "velocity: expected 1 components"),
        (
            {"f": "0", "initial": "0", "domain": Box(lower=(0,) * 3, upper=(1,) * 3)},
            "1 or 2 dimensions of space",
        ),
        ({"f": "0", "initial": "log(x - 1)"}, "initial or boundary data: not finite"),
        ({"f": "1/(t-t)", "initial": "0"}, "f: not finite"),
        ({"f": "0", "initial": "0", "velocity": ["1/(x-x)"]}, "velocity 1: not finite"),
        ({"f": "0", "initial": "0", "a": "x - 1"}, "a: expected no negative values"),
        ({"f": "0", "initial": "y"}, "unknown name 'y'"),
        ({"f": "0", "initial": "0", "boundary": {"q": {"dirichlet": "0"}}}, "unknown side 'q'"),
    ],
)
def test_what_is_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        problem(**data)
