"""What every reader returns: where its samples lie, and what cannot be a signal."""

import numpy as np
import pytest

from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.points import Points
from lrnn_cli.signals.signal import Signal


def signal(shape, points=None, dtype=np.float32, peak=1.0):
    return Signal(np.zeros(shape, dtype), "function", peak, "f", "f", "0", points=points)


def test_samples_lie_on_a_grid_or_at_points():
    mesh = signal((4, 5, 1))
    assert mesh.places == Grid((4, 5)) and mesh.resolution == (4, 5) and mesh.n_channels == 1
    rows = np.random.default_rng(0).uniform(-1, 1, (64, 3))
    scattered = signal((64, 2), rows)
    assert isinstance(scattered.places, Points) and scattered.places.ndim == 3
    assert scattered.resolution == (4, 4, 4)  # a grid with as many samples


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"shape": (3, 1), "points": np.zeros((4, 2))}, "points: expected one per row of values \\(3, 1\\)"),
        ({"shape": (3, 3, 1), "points": np.zeros((3, 2))}, "points: expected one per row"),
        ({"shape": (3,)}, "expected shape \\(n_1, …, n_d, c\\)"),
        ({"shape": (3, 0)}, "without zeros"),
        ({"shape": (3, 1), "dtype": np.float64}, "values: expected dtype float32"),
        ({"shape": (3, 1), "peak": 0.0}, "peak: expected a positive finite number"),
    ],
)
def test_what_is_no_signal(given, words):
    with pytest.raises(ValueError, match=words):
        signal(**given)
