"""The error shown while a solver runs."""

import pytest
import torch

from lrnn_cli.fitting.error_probe import ErrorProbe
from lrnn_cli.numerics.jets import Jet
from lrnn_cli.objectives.compile_poisson import compile_problem
from lrnn_cli.objectives.poisson import ProblemConfig


class Twice:
    """Twice the exact solution."""

    n_coefficients = 0

    def jet(self, points: torch.Tensor) -> Jet:
        value = 2 * points[:, 0] * (1 - points[:, 0]) * points[:, 1]
        return Jet(value, torch.zeros_like(points.T), value)


def test_relative_error_and_its_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    probe = ErrorProbe(compile_problem(ProblemConfig(exact="x*(1-x)*y")), every_s=1.0)
    looks = []

    def solution() -> Twice:
        looks.append(now[0])
        return Twice()

    assert probe(solution) == pytest.approx(1.0)
    now[0] = 0.5
    assert probe(solution) == pytest.approx(1.0)
    assert looks == [0.0]
    now[0] = 1.5
    probe(solution)
    assert looks == [0.0, 1.5]


def test_nothing_where_the_truth_is_not_known() -> None:
    assert ErrorProbe(compile_problem(ProblemConfig(f="1")))(Twice) is None
    assert ErrorProbe(compile_problem(ProblemConfig(exact="0")))(Twice) is None
