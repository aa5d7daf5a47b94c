"""Least squares on frozen features: digits, refinement, enrichment, and systems that cannot be solved."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from lrnn_cli.errors import FitError
from lrnn_cli.fitting import checkpoint
from lrnn_cli.fitting.enrichment import Enrichment, SingularFunction, find_enrichment
from lrnn_cli.fitting.fields import FORMAT, encode, load
from lrnn_cli.fitting.linear_features import draw_features, solve_columns
from lrnn_cli.fitting.separable import SeparableSystem
from lrnn_cli.fitting.solve_linear import Solved, is_separable, solve_linear
from lrnn_cli.numerics.domains import Annulus, Box, Disc, Implicit, Polygon
from lrnn_cli.numerics.jets import nested
from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.named_problems import named_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig


def problem(**data: Any) -> Problem:
    return compile_problem(ProblemConfig(**data))


def solve(found: Problem, enrich: bool = True, **more: Any) -> tuple[Solved, float]:
    """Solve and return the relative L2 error at points of their own."""
    solved = Solved()
    enrichment = find_enrichment(found)[0] if enrich else Enrichment()
    settings = {"target": 1e-11, "n_features": 384, "omega": 6.0, **more}
    list(solve_linear(found, solved, enrichment=enrichment, **settings))
    points = found.domain.heldout(800, 4)
    assert solved.solution is not None and found.exact is not None
    exact = found.exact(points)
    return solved, float((solved.solution.jet(points).value - exact).norm() / exact.norm())


WAVE = "sin(2*x*y + 3*x - 2*y)"
ELLIPSE = Implicit(expression="x^2 + 2*y^2 - 1", lower=(-1.05, -0.75), upper=(1.05, 0.75))


RING = "(4*x^2 + 4*y^2 - 1)*(1 - x^2 - y^2)"


def around(text: str) -> dict[str, Any]:
    return {"all": {"dirichlet": text}}


@pytest.mark.parametrize(
    "data",
    [
        {"exact": f"x*(1-x)*y*(1-y)*{WAVE}"},
        {"exact": WAVE},
        {"domain": Disc(), "exact": f"(1 - x^2 - y^2)*{WAVE}"},
        {"domain": Annulus(), "exact": WAVE},
        {"domain": Polygon(vertices=((0, 0), (2, 0), (1, 1))), "exact": WAVE},
        {"domain": ELLIPSE, "exact": f"(1 - x^2 - 2*y^2)*{WAVE}"},
        {"domain": ELLIPSE, "exact": WAVE},
        {"domain": Disc(), "exact": f"(1 - x^2 - y^2)*{WAVE} + exp(x)", "boundary": around("exp(x)")},
        {"domain": Annulus(), "exact": f"{RING}*{WAVE} + x*y", "boundary": around("x*y")},
        {"domain": ELLIPSE, "exact": f"(1 - x^2 - 2*y^2)*{WAVE} + y", "boundary": around("y")},
        {"domain": Box(lower=(0.0,) * 3, upper=(1.0,) * 3), "exact": "sin(x*y + z) + exp(x - y*z)"},
        {"exact": WAVE, "a": "1 + 0.5*x*y", "c": "2"},
        {"exact": WAVE, "boundary": {"x1": {"neumann": "exact"}, "y0": {"neumann": "exact"}}},
        {"exact": "cos(pi*x)*y", "boundary": {"all": {"neumann": "exact"}}},
        {"domain": Box(lower=(0.0,), upper=(2.0,)), "exact": "x*exp(x)"},
        {**named_problem("helmholtz")},
        {**named_problem("l-shape")},
    ],
    ids=str,
)
def test_nine_digits(data: dict[str, Any]) -> None:
    solved, error = solve(problem(**data))
    assert error < 1e-9
    assert solved.residual < 1e-6


def test_enrichment_is_what_brings_the_digits_at_a_corner() -> None:
    assert solve(problem(**named_problem("l-shape")), enrich=False)[1] > 1e-4


@pytest.mark.parametrize("cosine", [False, True])
def test_singular_functions_are_harmonic(cosine: bool) -> None:
    function = SingularFunction(0.2, -0.1, 0.7, 2 / 3, cosine)
    points = torch.rand(30, 2, dtype=torch.float64) + torch.tensor([0.3, 0.1], dtype=torch.float64)
    reference = nested(lambda x: function.jet(x).value, points)
    found = function.jet(points)
    torch.testing.assert_close(found.gradient, reference.gradient)
    torch.testing.assert_close(found.laplacian, reference.laplacian, atol=1e-9, rtol=0)
    corner = function.jet(torch.tensor([[0.2, -0.1]], dtype=torch.float64))
    assert torch.isfinite(corner.gradient).all()


@pytest.mark.parametrize("d", [1, 2, 3])
def test_separable_features_reach_twelve_digits(d: int) -> None:
    data = named_problem("high-frequency", 2, d)
    found = problem(**{**data, "c": "1.5", "a": "2"})
    assert is_separable(found)
    system = SeparableSystem((0.0,) * d, (1.0,) * d, 24, 9.6, 0)
    solution, residual = system.solve(found.source_term(system.grid()), 2.0, 1.5)
    assert residual < 1e-8
    points = found.domain.heldout(300, 1)
    assert found.exact is not None
    jet, exact = solution.jet(points), found.exact.jet(points)
    torch.testing.assert_close(jet.value, exact.value, rtol=0, atol=1e-10)
    torch.testing.assert_close(jet.gradient, exact.gradient, rtol=0, atol=1e-8)
    torch.testing.assert_close(jet.laplacian, exact.laplacian, rtol=0, atol=1e-6)


def test_features_and_solutions_depend_on_the_seed_alone() -> None:
    one, two = (draw_features(((0.0,), (1.0,)), 5, 2, 3.0, 1) for _ in range(2))
    assert torch.equal(one.weight, two.weight) and torch.equal(one.bias, two.bias)
    assert not torch.equal(one.weight, draw_features(((0.0,), (1.0,)), 5, 2, 3.0, 2).weight)


def test_omega_is_chosen_and_the_network_grown() -> None:
    found = problem(exact="sin(3*pi*x)*sin(3*pi*y)")
    solved = Solved()
    steps = list(
        solve_linear(found, solved, target=1e-4, enrichment=Enrichment(), features="product", n_features=200)
    )
    assert solved.reached
    assert "omega" in str(steps[0].event)


def test_a_stop_before_the_first_solution_is_an_error_and_later_none() -> None:
    found = problem(exact=WAVE)
    solved, _ = solve(found, should_stop=lambda: True)
    assert solved.solution is not None, "the first system is always solved"
    solved, calls = Solved(), 0

    def at_once() -> bool:
        nonlocal calls
        calls += 1
        return True

    run = solve_linear(
        found, solved, target=0.0, enrichment=Enrichment(), features="product", should_stop=at_once
    )
    events = [step.event for step in run]
    assert len(events) == 1 and "omega 4" in str(events[0]), "the first omega alone was tried"


def test_systems_that_cannot_be_solved() -> None:
    bad = torch.ones(4, 2, dtype=torch.float64)
    with pytest.raises(FitError, match="NaN"):
        solve_columns(bad * torch.nan, torch.ones(4, dtype=torch.float64))
    with pytest.raises(FitError, match="singular"):
        solve_columns(bad * 0, torch.ones(4, dtype=torch.float64))
    same = solve_columns(bad, torch.ones(4, dtype=torch.float64))
    torch.testing.assert_close(same, torch.full((2,), 0.5, dtype=torch.float64), msg="equal columns share")


def test_separable_features_behind_a_lift() -> None:
    found = problem(exact=f"{WAVE} + 3")
    assert is_separable(found)
    solved, error = solve(found, features="separable", n_features=32, omega=12.8)
    assert solved.about["features"] == "separable"
    assert error < 1e-10
    edge = found.domain.boundary(100).points
    assert solved.solution is not None and found.exact is not None
    torch.testing.assert_close(solved.solution.jet(edge).value, found.exact(edge), rtol=0, atol=1e-13)


def test_a_file_of_before_there_were_lifts_is_read_as_it_was_solved(tmp_path: Any) -> None:
    found = problem(exact=WAVE)
    soft = replace(found, hard=False, lift=None)
    solved, _ = solve(soft)
    assert solved.solution is not None and found.exact is not None
    path, points = tmp_path / "checkpoint.safetensors", found.domain.heldout(50, 2)
    path.write_bytes(encode(solved.solution, soft, {"solve": solved.about}))
    tensors, header = checkpoint.read(path, FORMAT)
    for missing in (set(), {"lift"}, {"lift", "hard"}):
        about = {key: value for key, value in header["field"].items() if key not in missing}
        older = tmp_path / f"{len(missing)}.safetensors"
        older.write_bytes(checkpoint.encode(tensors, {**header, "field": about}))
        again, its_problem, _ = load(older)
        assert (its_problem.hard, its_problem.lift) == (False, None)
        torch.testing.assert_close(again.jet(points).value, found.exact(points), rtol=0, atol=1e-8)


@pytest.mark.parametrize("kind", ["product", "separable", "singular", "product lifted", "separable lifted"])
def test_checkpoints_give_the_same_field_again(tmp_path: Any, kind: str) -> None:
    smooth = problem(exact=WAVE if "lifted" in kind else "x*(1-x)*y*(1-y)")
    found = problem(**named_problem("l-shape")) if kind == "singular" else smooth
    assert (found.lift is not None) == ("lifted" in kind)
    features = "separable" if "separable" in kind else "product"
    solved, _ = solve(found, features=features, n_features=24, omega=4.0)
    assert solved.solution is not None
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(encode(solved.solution, found, {"solve": solved.about}))
    again, its_problem, header = load(path)
    points = found.domain.heldout(50, 2)
    assert torch.equal(again.jet(points).value, solved.solution.jet(points).value)
    assert its_problem.config == found.config
    assert header["solve"]["n_features"] == 24
