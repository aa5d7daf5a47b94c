"""Least squares in space-time: digits against exact solutions, the bound, the round trip through a file."""

from pathlib import Path
from typing import Any

import pytest
import torch

from lrnn_cli.fitting.enrichment import Enrichment
from lrnn_cli.fitting.fields import encode, load
from lrnn_cli.fitting.linear_features import draw_features
from lrnn_cli.fitting.solve_linear import Solved, solve_linear
from lrnn_cli.numerics.domains import Box, Disc
from lrnn_cli.numerics.jets import nested
from lrnn_cli.objectives.named_problems import named_problem
from lrnn_cli.objectives.poisson import Problem, ProblemConfig
from lrnn_cli.objectives.unsteady import compile_equation
from lrnn_cli.tasks.measure_poisson import measure, sample

LINE = Box(lower=(0.0,), upper=(1.0,))


def solve(**data: Any) -> tuple[Problem, Solved, dict[str, Any]]:
    found, solved = compile_equation(ProblemConfig(**data)), Solved()
    omega = 5.0 if found.n_inputs == 2 else 2.0
    list(solve_linear(found, solved, target=1e-11, enrichment=Enrichment(), n_features=300, omega=omega))
    assert solved.solution is not None
    return found, solved, measure(found, solved.solution, sample(found, solved.solution, 9))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({"exact": "exp(-t)*sin(pi*x)", "domain": LINE}, 1e-8),
        ({"exact": "exp(-t)*cos(2*x + t)", "domain": LINE, "a": "1 + t*x", "velocity": ["1 - x"]}, 1e-8),
        ({"exact": "sin(3*(x - t))", "domain": LINE, "a": "0", "velocity": ["1"]}, 1e-8),
        ({**named_problem("heat", 2), "domain": LINE}, 1e-6),
        ({"exact": "exp(-t)*sin(x + y)", "a": "0.5", "velocity": ["1", "-1"], "c": "1"}, 1e-4),
        ({"exact": "exp(-t)*(1-x^2-y^2)", "domain": Disc(), "velocity": ["-y", "x"]}, 1e-3),
        (
            {
                "exact": "exp(-t)*cos(x)", "domain": LINE,
                "boundary": {"x1": {"neumann": "exact"}, "x0": {"dirichlet": "exact"}},
            },
            1e-8,
        ),
    ],
    ids=str,
)  # fmt: skip
def test_digits_and_bound(data: dict[str, Any], error: float) -> None:
    _, _, metrics = solve(**{"time_to": 1.0, **data})
    assert metrics["rel_l2"] < error
    if "boundary" not in data or len(data["boundary"]) == 1:
        assert metrics["error_l2"] <= metrics["error_bound"] + 1e-14
    else:
        assert metrics["error_bound"] is None


def test_few_features_do_not_forget_the_initial_condition() -> None:
    found, solved = compile_equation(ProblemConfig(**named_problem("heat", 2, 2))), Solved()
    list(solve_linear(found, solved, target=1e-11, enrichment=Enrichment(), n_features=300, omega=4.0))
    points = found.domain.heldout(500, 3)
    assert found.exact is not None and solved.solution is not None
    exact = found.exact(points)
    assert float((solved.solution.jet(points).value - exact).norm() / exact.norm()) < 0.1


def test_the_laplacian_of_features_leaves_time_out() -> None:
    features = draw_features(((0.0, -1.0, 0.0), (2.0, 1.0, 1.0)), 7, 2, 3.0, 0, 1)
    head, points = torch.rand(7, dtype=torch.float64), torch.rand(9, 3, dtype=torch.float64)
    jet = features.jet(points, head)
    everything = nested(lambda x: features.jet(x, head).value, points)
    in_time = torch.stack(
        [
            nested(
                lambda t, rest=point[1:]: features.jet(_with(t, rest), head).value, point[:1, None]
            ).laplacian
            for point in points
        ]
    )[:, 0]
    torch.testing.assert_close(jet.gradient, everything.gradient)
    torch.testing.assert_close(jet.laplacian, everything.laplacian - in_time)


def _with(time: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return torch.cat([time, place.expand(len(time), -1)], 1)


def test_a_solution_survives_its_file(tmp_path: Path) -> None:
    found, solved, _ = solve(exact="exp(-t)*sin(pi*x)", domain=LINE, time_to=1.0)
    assert solved.solution is not None
    (tmp_path / "field").write_bytes(encode(solved.solution, found, {}))
    loaded, problem, _ = load(tmp_path / "field")
    points = found.domain.heldout(20, 1)
    assert problem.n_time == 1
    assert torch.equal(loaded.jet(points).laplacian, solved.solution.jet(points).laplacian)
