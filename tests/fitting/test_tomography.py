"""The splitting without and with a network, on a small disc."""

import numpy as np
import pytest
import torch

from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.fitting.tomography import Prior, Splitting, TomographyFit, coupling_for
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.phantoms import Ellipse, raster
from lrnn_cli.numerics.projection import Geometry, Projector
from lrnn_cli.objectives.projection import ProjectionObjective
from lrnn_cli.objectives.samples import Samples

N = 24


def disc() -> torch.Tensor:
    shapes = (Ellipse(0.5, 0.7, 0.8), Ellipse(0.3, 0.2, 0.3, 0.2, 0.1))
    return torch.from_numpy(raster(shapes, N)).float()


def objective(views: int = 8) -> ProjectionObjective:
    geometry = Geometry(N, np.pi * np.arange(views) / views, 35)
    projector = Projector(geometry)
    return ProjectionObjective(projector, projector.forward(disc()))


def error(image: torch.Tensor) -> float:
    return float((image - disc()).square().mean().sqrt())


def test_rounds_approach_the_slice() -> None:
    start = torch.full((N, N), 0.2)
    splitting = Splitting(objective(), Prior(0.02, 0.05), start, 2.0)
    early = error(splitting.rounds(2))
    late = error(splitting.rounds(20))
    assert late < 0.5 * early < 0.5 * error(start)
    assert late < 0.05
    assert splitting.objective.relative_residual(splitting.image) < 0.01


def test_total_variation_alone_solves_the_total_variation_problem() -> None:
    from lrnn_cli.numerics.total_variation import objective as value

    data = objective()
    splitting = Splitting(data, Prior(tv=0.05), torch.zeros(N, N), 2.0)
    found = splitting.rounds(120)
    weight = 0.05 * splitting.coupling  # the proximal map of λ TV / ρ
    best = value(data.projector, found, data.sinogram, weight)
    generator = torch.Generator().manual_seed(0)
    for size in (0.02, 0.005):
        other = (found + size * torch.randn(N, N, generator=generator)).clamp_min(0)
        assert best < value(data.projector, other, data.sinogram, weight)
    assert best < 1.001 * value(data.projector, disc(), data.sinogram, weight)


@pytest.mark.parametrize(
    ("prior", "changes"),
    [(Prior(), False), (Prior(0.05), True), (Prior(0.0, 0.05), True), (Prior(0.05, 0.05, 0.0), True)],
)
def test_priors(prior: Prior, changes: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    noisy = disc() + 0.05 * torch.randn(N, N, generator=generator)
    assert torch.equal(prior(noisy), noisy) != changes
    assert error(prior(noisy)) < error(noisy) or not changes


def test_the_share_mixes_the_two_maps() -> None:
    noisy = disc() + 0.01 * torch.arange(N)
    mixed = Prior(0.05, 0.1, 0.25)(noisy)
    expected = 0.75 * Prior(0.0, 0.1)(noisy) + 0.25 * Prior(0.05)(noisy)
    torch.testing.assert_close(mixed, expected)


def test_noise_strengthens_the_coupling() -> None:
    data = objective()
    assert coupling_for(data, 0.0, 0.1) == pytest.approx(0.3 * data.scale())
    assert coupling_for(data, 10.0, 0.1) == pytest.approx(100.0)
    ramp = ProjectionObjective(data.projector, data.sinogram, ramp=True)
    assert 0 < ramp.scale() < data.scale() * N


def fit(steps: int, seed: int = 0) -> tuple[TomographyFit, torch.Tensor, list[int]]:
    start = torch.full((N, N), 0.2)
    config = config_class("lrnn")(rank=24, dbar=3, depth=2, omega_first=20.0)
    model = build("lrnn", config, n_inputs=2, n_outputs=1, seed=seed)
    grid = Grid((N, N))
    samples = Samples(grid, start.reshape(-1, 1).clone(), shift=0.5, scale=0.5, peak=1.0)
    settings = FitSettings(steps=steps, guard=False, seed=seed)
    runner = BlockRunner(torch.device("cpu"))
    trainer = Trainer(
        model, samples, settings, runner, lr=2e-3, lstsq=("start", "end"), batch_points=256,
        fresh=lambda _: model,
    )  # fmt: skip

    def render() -> torch.Tensor:
        with torch.no_grad():
            return (model(grid.coords(torch.arange(N * N)))[:, 0] * 0.5 + 0.5).reshape(N, N)

    splitting = Splitting(objective(), Prior(0.02, 0.05), start, 2.0)
    one = TomographyFit(trainer, splitting, render, n_rounds=6, inner=2)
    steps_seen = [step.step for step in one.run()]
    return one, render(), steps_seen


def test_a_network_reconstructs_and_repeats_itself() -> None:
    one, image, steps = fit(240)
    assert one.rounds_done == 6
    assert steps[:3] == [1, 2, 3] and steps[-1] == 240
    assert error(image) < 0.06
    _, again, _ = fit(240)
    assert torch.equal(image, again)


def test_stopping_leaves_what_there_is() -> None:
    one, _, steps = fit(1)
    assert steps == [1, 1] and one.trainer.outcome is not None  # the second record closes the training
    assert one.rounds_done == 0
    assert torch.equal(one.splitting.image, torch.full((N, N), 0.2))
    assert torch.equal(one.trainer.samples.targets, torch.full((N * N, 1), (0.2 - 0.5) / 0.5))
