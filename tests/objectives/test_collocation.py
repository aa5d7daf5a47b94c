"""Points of the equation: how many, where, and that those chosen by the residual go where it is large."""

import pytest
import torch

from lrnn_cli.numerics.domains import Disc
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.objectives.collocation import SOBOL_SEED, choose_points, collocate, measure_scales
from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.poisson import ProblemConfig

PEAK = compile_problem(ProblemConfig(exact="exp(-400*((x - 0.7)^2 + (y - 0.3)^2))"))


def nothing(points: torch.Tensor) -> Jet:
    zero = torch.zeros(len(points), dtype=torch.float64)
    return Jet(zero, torch.zeros_like(points.T), zero)


def near(points: torch.Tensor) -> float:
    """Share of the points within 0.15 of the peak."""
    return float(((points - points.new_tensor([0.7, 0.3])).norm(dim=1) < 0.15).double().mean())


def test_kinds_of_points() -> None:
    gauss = choose_points(PEAK, 900, "gauss")
    assert torch.equal(gauss, PEAK.domain.quadrature(900)[0])
    assert torch.equal(choose_points(PEAK, 900, "auto"), gauss)
    assert torch.equal(choose_points(PEAK, 900, "adaptive"), gauss)  # nothing to adapt to yet
    assert torch.equal(choose_points(PEAK, 900, "sobol"), PEAK.domain.heldout(900, SOBOL_SEED))


def test_adaptive_points_crowd_where_the_residual_is_large() -> None:
    points = choose_points(PEAK, 900, "adaptive", nothing)
    assert len(points) == 441 + 450  # 21² nodes, the rest drawn
    assert bool(PEAK.domain.inside(points).all())
    assert near(points[441:]) > 4 * near(points[:441])
    assert len(points.unique(dim=0)) == len(points)
    assert torch.equal(points, choose_points(PEAK, 900, "adaptive", nothing))
    assert not torch.equal(points, choose_points(PEAK, 900, "adaptive", nothing, seed=1))


def test_rows_at_given_points_have_the_weights_of_all() -> None:
    scales = measure_scales(PEAK)
    points = choose_points(PEAK, 400, "sobol")
    found = collocate(PEAK, 400, scales, points=points)
    assert found.n_interior == 400
    expected = PEAK.source_term(points) / (scales.equation * 20)
    torch.testing.assert_close(found.rows.target, expected)


@pytest.mark.parametrize("kind", ["sobol", "adaptive"])
def test_without_a_mask_the_boundary_keeps_its_rows(kind: str) -> None:
    problem = compile_problem(ProblemConfig(domain=Disc(), exact="exp(x*y)"))
    assert not problem.hard
    scales = measure_scales(problem)
    points = choose_points(problem, 400, kind, nothing)
    found = collocate(problem, 400, scales, points=points)
    n = len(found.rows) - found.n_interior
    usual = collocate(problem, 400, scales)
    assert n == len(usual.rows) - usual.n_interior > 0


@pytest.mark.parametrize("sides", [{}, {"all": {"neumann": "exact"}}], ids=["values", "slopes"])
@pytest.mark.parametrize("a", [1e4, 1e-4])
def test_rows_count_the_same_whatever_the_size_of_a(a: float, sides: dict[str, dict[str, str]]) -> None:
    found = []
    for size in (1.0, a):
        data = {"domain": Disc(), "exact": "exp(x*y)", "a": f"{size}*(2 + x)", "c": f"{size}"}
        problem = compile_problem(ProblemConfig(**data, boundary=sides))
        found.append(collocate(problem, 300, measure_scales(problem, floor=1.0)).rows)
    one, other = found
    for name in ("second", "first", "zeroth", "target"):
        torch.testing.assert_close(getattr(other, name), getattr(one, name), rtol=1e-12, atol=1e-14)


def test_the_scales_take_the_mean_of_a() -> None:
    for a, mean in (("1", 1.0), ("x + 5.5", 6.0)):
        problem = compile_problem(ProblemConfig(f="0", a=a, boundary={"all": {"dirichlet": "abs(x - 0.5)"}}))
        scales = measure_scales(problem, floor=1.0)
        size = scales.boundary * problem.lowest_eigenvalue()
        assert scales.equation == (size if mean == 1 else pytest.approx(mean * size, rel=1e-12))


def test_small_data_of_a_stiff_problem_are_not_taken_for_none() -> None:
    small = {"all": {"dirichlet": "1e-15*x"}}
    stiff, soft = (compile_problem(ProblemConfig(f="1", a=a, boundary=small)) for a in ("1e6", "1"))
    assert stiff.lift is not None and soft.lift is None
