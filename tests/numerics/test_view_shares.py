"""The shares of views in a turn: several turns, repeated views, jitter, missing wedges."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.numerics.fbp import fbp, view_weights
from lrnn_cli.numerics.phantoms import BLOBS, raster, sinogram
from lrnn_cli.numerics.projection import Geometry, default_bins
from lrnn_cli.numerics.view_shares import share_turn

N = 32
FAN = {"source_distance": 75.0, "detector_distance": 50.0}


def jittered(angles: np.ndarray, size: float) -> np.ndarray:
    """Angles as an encoder reads them, off by up to a part of their step."""
    step = angles[1] - angles[0]
    return angles + np.random.default_rng(0).uniform(-size, size, len(angles)) * step


READ_OUTS = {
    "exact": lambda angles: angles,
    "float32": lambda angles: angles.astype(np.float32),
    "float32 degrees": lambda angles: np.deg2rad(np.rad2deg(angles).astype(np.float32)),
    "a hundredth of a step": lambda angles: jittered(angles, 0.01),
    "a third of a step": lambda angles: jittered(angles, 0.3),
    "in no order": lambda angles: np.random.default_rng(1).permutation(angles.astype(np.float32)),
}


@pytest.mark.parametrize("read_out", READ_OUTS)
@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("fan", [False, True])
def test_fbp_does_not_mind_how_often_and_how_nearly_lines_are_seen(
    read_out: str, turns: int, fan: bool
) -> None:
    beam = FAN if fan else {}
    angles = READ_OUTS[read_out](np.linspace(0, 2 * math.pi * turns, 80 * turns + 1))
    geometry = Geometry(N, angles, default_bins(N, **beam), **beam)
    image = fbp(torch.as_tensor(sinogram(BLOBS, geometry)), geometry).numpy()
    assert np.sqrt(np.mean((image - raster(BLOBS, N)) ** 2)) < 5e-3
    assert share_turn(geometry.theta, 2 * math.pi).shares.sum() == pytest.approx(2 * math.pi)


def test_views_of_one_line_share_its_part() -> None:
    third = math.pi / 3
    once = [0, third, 2 * third]
    noisy = np.array([*once, 3 * third + 1e-7, 4 * third - 1e-7, math.pi * 2 - 1e-7])
    np.testing.assert_allclose(view_weights(noisy), np.array([1 / 3, 1 / 2, 1, 1 / 3, 1 / 2, 1 / 3]) * third)
    np.testing.assert_allclose(view_weights(np.full(4, 0.3)), math.pi / 4)


def test_where_the_turn_begins_and_ends() -> None:
    turn = share_turn(np.radians([350, 0, 10, 20, 20.00001, 30, 40]), 2 * math.pi)
    assert (math.degrees(turn.first), math.degrees(turn.turned)) == pytest.approx((350, 60))
    assert math.degrees(turn.step) == pytest.approx(10)
    whole = share_turn(np.radians(np.arange(0, 720, 10)), 2 * math.pi)
    assert math.degrees(whole.turned) == pytest.approx(360)


def test_wedges_are_not_made_up_for() -> None:
    two = share_turn(np.radians([*range(40), *range(90, 130)]), math.pi)
    np.testing.assert_allclose(two.shares, math.radians(1))
    twice = np.radians(np.arange(240.0) % 120)
    assert view_weights(twice).sum() == pytest.approx(math.radians(120))


@given(angles=st.lists(st.floats(-20, 20), min_size=1, max_size=30))
def test_shares_are_parts_of_the_turn(angles: list[float]) -> None:
    turn = share_turn(np.array(angles), math.pi)
    assert (turn.shares > 0).all() and turn.shares.sum() <= math.pi * (1 + 1e-9)
    assert 0 <= turn.first <= math.pi and 0 < turn.step <= turn.turned <= math.pi * (1 + 1e-9)
