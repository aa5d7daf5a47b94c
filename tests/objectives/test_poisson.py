"""Problems as data: what is derived, what is checked, what is said."""

from typing import Any

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.domains import Box, Disc, Polygon
from lrnn_cli.objectives.collocation import collocate, measure_scales
from lrnn_cli.objectives.named_problems import NAMED, named_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig, compile_problem
from lrnn_cli.objectives.unsteady import compile_equation


def problem(**data: Any) -> Problem:
    return compile_problem(ProblemConfig(**data))


def test_manufactured_source() -> None:
    found = problem(exact="sin(2*x)*y", a="1 + x", c="3")
    points = torch.rand(20, 2, dtype=torch.float64)
    x, y = points.T
    expected = 4 * (1 + x) * (2 * x).sin() * y - 2 * (2 * x).cos() * y + 3 * (2 * x).sin() * y
    torch.testing.assert_close(found.source_term(points), expected)
    rows = found.interior(points)
    assert found.exact is not None
    torch.testing.assert_close(rows.apply(found.exact.jet(points)), rows.target)


@pytest.mark.parametrize("name", NAMED)
def test_named_problems_satisfy_themselves(name: str) -> None:
    found = compile_equation(ProblemConfig(**named_problem(name)))
    assert found.config.source
    assert found.exact is not None
    points = found.domain.heldout(100, 1)
    rows = found.interior(points)
    size = float(rows.target.abs().max()) + found.lowest_eigenvalue()
    assert float((rows.apply(found.exact.jet(points)) - rows.target).abs().max()) < 1e-9 * size
    edge, _ = found.boundary(found.domain.boundary(50))
    torch.testing.assert_close(edge.apply(found.exact.jet(edge.points)), edge.target, atol=1e-10, rtol=0)


def test_weighted_rows_have_the_norm_of_a_relative_residual() -> None:
    for found in (problem(exact="sin(pi*x)*sin(pi*y)"), problem(exact="exp(x*y)")):
        scales = measure_scales(found)
        rows = collocate(found, 900, scales, heldout_seed=1).rows
        assert found.hard == (len(rows) == 900)
        assert float(rows.target.norm()) == pytest.approx(1.0 if found.hard else 2**0.5, rel=0.05)


def test_conditions_by_side() -> None:
    found = problem(exact="x*y", boundary={"x1": {"neumann": "exact"}, "all": {"dirichlet": "x*y"}})
    where = found.domain.boundary(80)
    rows, dirichlet = found.boundary(where)
    assert set(where.side[~dirichlet].tolist()) == {1}
    torch.testing.assert_close(rows.target[~dirichlet], where.points[~dirichlet][:, 1])
    assert not found.hard


def test_what_is_said() -> None:
    assert "re-entrant" in " ".join(problem(domain=Polygon(), f="1").notes)
    corners = problem(f="1", boundary={"x0": {"dirichlet": "1"}, "all": {"dirichlet": "0"}})
    assert "disagree at (0, 0): 1 and 0" in " ".join(corners.notes)
    neumann = problem(f="1", boundary={"all": {"neumann": "0"}})
    assert neumann.pure_neumann
    assert "not compatible: 1 is taken from f" in " ".join(neumann.notes)
    assert float(neumann.source_term(torch.zeros(1, 2, dtype=torch.float64))) == pytest.approx(0, abs=1e-12)
    compatible = problem(exact="cos(pi*x)", boundary={"all": {"neumann": "exact"}})
    assert "compatible" not in " ".join(compatible.notes)


def test_constant_of_the_bound() -> None:
    found = problem(domain=Box(lower=(0, 0), upper=(1, 2)), f="1").bound_constant()
    assert found is not None
    assert found[0] == pytest.approx(1 / (3.14159265**2 * 1.25), rel=1e-6)
    assert problem(f="1", c="-100").bound_constant() is None
    assert problem(f="1", boundary={"x0": {"neumann": "0"}}).bound_constant() is None


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "give f, or an exact solution"),
        ({"f": "1/(x - x)"}, "f: not finite in the domain"),
        ({"f": "log(x - 0.5)"}, "f: not finite"),
        ({"f": "z"}, "unknown name 'z'"),
        ({"f": "1", "a": "x - 0.5"}, "a: expected positive values"),
        ({"f": "1", "boundary": {"x7": {"dirichlet": "0"}}}, "unknown side 'x7'; sides: all, x0"),
        ({"f": "1", "boundary": {"all": {"dirichlet": "exact"}}}, "needs an exact solution"),
        ({"f": "1", "boundary": {"all": {"dirichlet": "1/x"}}}, "boundary data: not finite"),
        ({"exact": "sqrt(x - 0.5)"}, "not finite"),
    ],
)
def test_bad_problems(data: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        problem(**data)


def test_bad_names() -> None:
    with pytest.raises(ConfigError, match="did you mean 'high-frequency'"):
        named_problem("high-frequenzy")
    with pytest.raises(ConfigError, match="no wave number"):
        named_problem("disc", k=3)
    with pytest.raises(ConfigError, match="2 … 10"):
        named_problem("anova", dim=30)
    assert Disc().sides == ("outer",)
