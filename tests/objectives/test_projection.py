"""The data term of tomography against dense matrices."""

import numpy as np
import pytest
import torch

from lrnn_cli.numerics.projection import Geometry, Projector
from lrnn_cli.objectives.projection import ProjectionObjective

GEOMETRY = Geometry(8, np.linspace(0.1, 3.0, 5), 13)


def projector() -> Projector:
    return Projector(GEOMETRY, dtype=torch.float64)


def data(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A sinogram, weights and an image."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.rand(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(5, 13), 0.5 + draw(5, 13), draw(8, 8)


def dense(operator: Projector) -> torch.Tensor:
    matrix = operator.matrix()
    assert matrix is not None
    return torch.from_numpy(matrix.toarray())


@pytest.mark.parametrize("weighted", [False, True])
def test_value_gradient_and_proximal_point(weighted: bool) -> None:
    operator, (sinogram, weights, z) = projector(), data()
    a, w = dense(operator), (weights / weights.mean()).reshape(-1) if weighted else torch.ones(65)
    w = w.double()
    objective = ProjectionObjective(operator, sinogram, weights if weighted else None)
    x = z.clone().requires_grad_()
    value = objective.value(x)
    residual = a @ z.reshape(-1) - sinogram.reshape(-1)
    torch.testing.assert_close(value.detach(), 0.5 * (w * residual**2).sum())
    (gradient,) = torch.autograd.grad(value, x)
    torch.testing.assert_close(gradient.reshape(-1), a.T @ (w * residual))
    found = objective.proximal(z, 0.7, torch.zeros(8, 8, dtype=torch.float64), 80)
    normal = a.T @ (w[:, None] * a) + 0.7 * torch.eye(64, dtype=torch.float64)
    exact = torch.linalg.solve(normal, a.T @ (w * sinogram.reshape(-1)) + 0.7 * z.reshape(-1))
    torch.testing.assert_close(found.reshape(-1), exact, rtol=1e-8, atol=1e-9)


def test_the_ramp_filter_makes_it_well_conditioned() -> None:
    geometry = Geometry(12, np.pi * np.arange(24) / 24, 17)
    operator = Projector(geometry, dtype=torch.float64)
    objective = ProjectionObjective(operator, torch.zeros(24, 17, dtype=torch.float64), ramp=True)
    plain = ProjectionObjective(operator, torch.zeros(24, 17, dtype=torch.float64))

    def spread(one: ProjectionObjective) -> float:
        columns = []
        for unit in torch.eye(144, dtype=torch.float64).reshape(144, 12, 12):
            x = unit.clone().requires_grad_()
            columns.append(torch.autograd.grad(one.value(x), x)[0].reshape(-1))
        values = torch.linalg.eigvalsh(torch.stack(columns))
        assert float(values[0]) > -1e-9 * float(values[-1])
        return float(values[-1] / values[72])

    assert spread(objective) < 0.1 * spread(plain)


def test_a_perfect_start_needs_no_step() -> None:
    operator, (_, _, x) = projector(), data()
    objective = ProjectionObjective(operator, operator.forward(x))
    torch.testing.assert_close(objective.proximal(x, 1.0, x), x)
    assert objective.relative_residual(x) == pytest.approx(0, abs=1e-12)
    assert objective.relative_residual(0 * x) == pytest.approx(1)


def test_senseless_arguments() -> None:
    operator, (sinogram, weights, x) = projector(), data()
    with pytest.raises(ValueError, match="weights and ramp: the filter needs rays of equal weight"):
        ProjectionObjective(operator, sinogram, weights, ramp=True)
    with pytest.raises(ValueError, match="weights: expected numbers of at least 0, not all 0"):
        ProjectionObjective(operator, sinogram, -weights)
    with pytest.raises(ValueError, match=r"sinogram: expected shape \(5, 13\), got \(13, 5\)"):
        ProjectionObjective(operator, sinogram.T)
    with pytest.raises(ValueError, match="coupling: expected a positive number, got 0"):
        ProjectionObjective(operator, sinogram).proximal(x, 0.0, x)
