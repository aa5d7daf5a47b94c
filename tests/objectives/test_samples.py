"""Regression on samples: the affine map, errors, and decibels in closed form."""

import math

import numpy as np
import pytest
import torch

from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.samples import Samples
from tests import references


@pytest.fixture
def samples():
    values = torch.from_numpy(np.random.default_rng(0).random((12, 3)))
    return Samples(Grid((3, 4)), values, shift=0.5, scale=0.25, peak=1.0)


def test_targets_are_normalised_and_restored(samples):
    values = torch.from_numpy(np.random.default_rng(0).random((12, 3)))
    torch.testing.assert_close(samples.targets, (values - 0.5) / 0.25)
    torch.testing.assert_close(samples.restore(samples.targets), values)
    assert (samples.n_points, samples.n_outputs) == (12, 3)


def test_the_values_given_are_not_changed():
    values = torch.rand(6, 1)
    before = values.clone()
    Samples(Grid((6,)), values, shift=0.5, scale=0.25, peak=1.0)
    assert torch.equal(values, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_coordinates_are_those_of_the_grid(dtype):
    samples = Samples(Grid((3, 4)), torch.zeros(12, 1, dtype=dtype), shift=0.0, scale=1.0, peak=1.0)
    expected = references.grid_points((3, 4), (-1, -1), (1, 1))
    coords = samples.coords(torch.tensor([0, 5, 11]))
    assert coords.dtype == dtype
    np.testing.assert_allclose(coords.numpy(), expected[[0, 5, 11]], rtol=1e-6)


def test_squared_errors_add_up_to_the_mean(samples):
    prediction = torch.zeros(12, 3, dtype=torch.float64)
    parts = [torch.tensor([0, 3, 4]), torch.tensor([1, 2, 5, 6, 7, 8, 9, 10, 11])]
    total = sum(float(samples.squared_error(prediction[part], part)) for part in parts)
    assert total / 12 == pytest.approx(references.mse(prediction.numpy(), samples.targets.numpy()))


def test_the_variance_is_the_loss_of_the_best_constant(samples):
    best = samples.targets.mean(0).expand(12, 3)
    everything = torch.arange(12)
    assert samples.variance() == pytest.approx(float(samples.squared_error(best, everything)) / 12)
    worse = float(samples.squared_error(best + 0.1, everything)) / 12
    assert worse == pytest.approx(samples.variance() + 0.01)


@pytest.mark.parametrize(
    "loss, scale, peak, expected",
    [
        (1.0, 1.0, 1.0, 0.0),
        (1e-4, 1.0, 1.0, 40.0),
        (4e-4, 0.5, 1.0, 40.0),  # mse = loss scale^2
        (1e-4, 1.0, 10.0, 60.0),
        (2.0, 1.0, 1.0, -10 * math.log10(2)),
        (0.0, 1.0, 1.0, math.inf),
        (math.inf, 1.0, 1.0, -math.inf),
    ],
)
def test_decibels(loss, scale, peak, expected):
    samples = Samples(Grid((2,)), torch.zeros(2, 1), shift=0.0, scale=scale, peak=peak)
    assert samples.psnr_db(loss) == pytest.approx(expected, abs=1e-12)
    assert samples.mse(loss) == loss * scale**2


def test_decibels_of_nan_are_nan():
    samples = Samples(Grid((2,)), torch.zeros(2, 1), shift=0.0, scale=1.0, peak=1.0)
    assert math.isnan(samples.psnr_db(math.nan))


def test_decibels_are_those_of_the_stored_values(samples):
    values = samples.restore(samples.targets)
    prediction = samples.targets + 0.01 * torch.sin(torch.arange(36.0)).view(12, 3)
    loss = float(samples.squared_error(prediction, torch.arange(12))) / 12
    expected = references.psnr(samples.restore(prediction).numpy(), values.numpy(), 1.0)
    assert samples.psnr_db(loss) == pytest.approx(expected, abs=1e-9)
