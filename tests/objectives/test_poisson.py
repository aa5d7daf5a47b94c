"""Problems as data: what is derived, what is checked, what is said."""

from typing import Any

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.numerics.domains import Box, Disc, Polygon
from lrnn_cli.numerics.implicit_domain import Implicit
from lrnn_cli.numerics.jets import nested
from lrnn_cli.objectives.collocation import behind_boundary, collocate, measure_scales
from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.named_problems import NAMED, named_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig
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
    kinked = "exp(x*y) + abs(x - 2)"  # no lift: the data are rows of their own
    for found in (problem(exact="sin(pi*x)*sin(pi*y)"), problem(exact=kinked)):
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
    ring = Implicit(lower=(-1.5, -1.5), upper=(1.5, 1.5), expression="x^2 + y^2 - 1")
    round_one = problem(domain=ring, f="2", boundary={"all": {"neumann": "-1"}})
    assert "compatible" not in " ".join(round_one.notes)


def test_incompatible_neumann_data_shift_a_derived_source_too() -> None:
    found = problem(exact="cos(pi*x)", boundary={"all": {"neumann": "1"}})
    assert "4 is taken from f; the exact solution is none of that problem" in " ".join(found.notes)
    points, weights = found.domain.quadrature(2000)
    assert float((found.source_term(points) * weights).sum()) == pytest.approx(-4, rel=1e-9)


def test_corners_and_edges_where_one_side_is_from_the_exact_solution() -> None:
    plane = problem(exact="x*y", boundary={"x0": {"dirichlet": "5"}})
    assert "x0 and y0 disagree at (0, 0): 5 and 0" in " ".join(plane.notes)
    cube = Box(lower=(0, 0, 0), upper=(1, 1, 1))
    found = problem(domain=cube, f="1", boundary={"z1": {"dirichlet": "x"}, "all": {"dirichlet": "0"}})
    assert "x1 and z1 disagree at (1, 0, 1): 0 and 1" in " ".join(found.notes)
    assert problem(domain=cube, exact="x*y*z").notes == ()


def test_an_exact_solution_of_another_problem_is_told() -> None:
    assert problem(f="-2*y", exact="x^2*y").notes == ()
    (equation,) = problem(f="1", exact="x^2*y").notes
    assert "the exact solution misses the equation by up to 3: errors against it say little" in equation
    (data,) = problem(exact="x*y", boundary={"all": {"dirichlet": "x*y + 0.5"}}).notes
    assert "misses the Dirichlet data by up to 0.5" in data
    unsteady = ProblemConfig(
        exact="exp(-t)*x", time_to=1.0, domain=Box(lower=(0,), upper=(1,)), f="0", initial="exact"
    )
    assert "misses the equation" in compile_equation(unsteady).notes[0]


def test_clockwise_polygons_say_how_their_edges_count() -> None:
    domain = Polygon(vertices=((0, 0), (0, 1), (2, 1), (2, 0)))
    sides = {"edge1": {"dirichlet": "1"}, "all": {"dirichlet": "1"}}
    assert "edge1 runs from (0, 0) to (2, 0)" in " ".join(problem(domain=domain, f="1", boundary=sides).notes)
    assert problem(domain=domain, f="1").notes == ()
    turned = Polygon(vertices=domain.vertices)
    assert not turned.was_clockwise and turned == domain


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


def test_a_hard_boundary_where_the_data_allow_one() -> None:
    assert problem(exact="exp(x*y)").lift is not None
    assert problem(domain=Disc(), f="1", boundary={"all": {"dirichlet": "1 + x"}}).hard
    # data that repeat the exact solution are no way to its inside
    repeated = problem(domain=Disc(), exact="1 + x", boundary={"all": {"dirichlet": "1 + x"}})
    assert (repeated.hard, repeated.lift) == (False, None)
    zero = problem(exact="sin(pi*x)*sin(pi*y)")
    assert (zero.hard, zero.lift) == (True, None)
    # sin(pi) is no exact zero, and no disagreement
    laplace = problem(f="0", boundary={"y1": {"dirichlet": "sin(pi*x)"}, "all": {"dirichlet": "0"}})
    assert (laplace.notes, laplace.hard) == ((), True)
    wave = {"z1": {"dirichlet": "sin(4*pi*x)"}, "all": {"dirichlet": "0"}}
    cube = problem(domain=Box(lower=(0, 0, 0), upper=(1, 1, 1)), f="0", boundary=wave)
    assert "disagree" in " ".join(cube.notes)
    assert not cube.hard
    # agree where only looked at as closely as a warning does; a lift has to meet them to rounding
    nearly = {
        "x1": {"dirichlet": "0.84147098480*y"},
        "y1": {"dirichlet": "sin(x)"},
        "all": {"dirichlet": "0"},
    }
    found = problem(f="0", boundary=nearly)
    assert (found.notes, found.hard) == ((), False)
    jump = problem(f="1", boundary={"x0": {"dirichlet": "1"}, "all": {"dirichlet": "0"}})
    assert (jump.hard, jump.lift) == (False, None)
    mixed = problem(exact="exp(x*y)", boundary={"x0": {"neumann": "exact"}})
    assert (mixed.hard, mixed.lift) == (False, None)


def test_rows_behind_the_boundary() -> None:
    """The rows on N of the very N that makes G + m N the exact solution hold."""
    found = problem(exact="exp(x) * sin(3*y) + x*y^2", a="1 + x*y", c="2")
    points = found.domain.heldout(40, 3)
    assert found.exact is not None
    assert found.lift is not None
    rows = behind_boundary(found, found.interior(points))

    def network(x: torch.Tensor) -> torch.Tensor:
        assert found.exact is not None
        assert found.lift is not None
        mask = found.domain.mask(x)
        assert mask is not None
        return (found.exact.jet(x).value - found.lift.jet(x).value) / mask.value

    torch.testing.assert_close(rows.apply(nested(network, points)), rows.target, rtol=1e-8, atol=1e-8)


def test_a_jump_of_a_is_refused() -> None:
    line = Box(lower=(0.0,), upper=(1.0,))
    with pytest.raises(
        ConfigError, match=r"^a: jumps at \(0.5\); expected no jumps, .*: make it steep instead"
    ):
        problem(domain=line, f="1", a="1 if x < 0.5 else 10")
    # beside the domain, or a kink alone
    for a in ("1 + step(x - 2)", "1 + abs(x - 0.5)", "1 if x < 0.5 else x + 0.5"):
        assert problem(domain=line, f="1", a=a).bound_constant() is not None


def test_an_exact_solution_with_a_kink_has_no_bound() -> None:
    line = Box(lower=(0.0,), upper=(1.0,))
    derived = problem(domain=line, exact="min(x, 1 - x)")
    assert derived.bound_constant() is None
    told = (
        "the exact solution has a kink, a jump or a root near (0.5), of which f derived from it knows nothing"
    )
    assert derived.notes == (f"{told}: errors against it say little, no bound",)
    given = problem(domain=line, exact="min(x, 1 - x)", f="0")
    assert given.bound_constant() is not None  # of the problem with that f
    assert "near (0.5), where it solves no equation with such an f: errors" in " ".join(given.notes)
    for exact in ("0 if x < 0.5 else (x - 0.5)^3.5", "abs(x - 2)", "sqrt(1 + x)"):
        whole = problem(domain=line, exact=exact)
        assert whole.bound_constant() is not None and whole.notes == ()
