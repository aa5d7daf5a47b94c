"""Previews without matplotlib: its colours, round numbers on the scales, white outside, the same bytes."""

import io

import matplotlib as mpl
import numpy as np
import pytest
from PIL import Image

from lrnn_cli.pictures.field import draw_field, log_error
from lrnn_cli.pictures.heat_maps import SIZE, HeatMap, draw_heat_maps, limits, paint, ticks


@pytest.mark.parametrize("name", ["viridis", "magma", "coolwarm"])
def test_colours_are_those_of_matplotlib(name: str) -> None:
    t = np.linspace(0, 1, 256)
    expected = 255 * mpl.colormaps[name](t)[:, :3]
    assert np.abs(paint(t, 0, 1, name) - expected).max() < 5  # of 255


def test_ticks_are_round_and_inside() -> None:
    assert ticks(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    assert ticks(-1, 1) == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert ticks(-17.9, -15.2) == [-17.0, -16.0]
    assert ticks(1e-12, 3e-12)[0] == 1e-12


def test_limits_are_never_equal() -> None:
    assert limits(np.array([1.0, 2.0, np.nan]), centred=False) == (1.0, 2.0)
    assert limits(np.array([-1.0, 3.0]), centred=True) == (-3.0, 3.0)
    for values in (np.zeros(3), np.full(3, 5.0), np.full(3, np.nan)):
        low, high = limits(values, centred=False)
        assert low < high


def test_u_grows_to_the_right_and_up_and_is_white_outside() -> None:
    x = np.linspace(0, 1, 21)
    u = x[:, None] + 2 * x[None, :]
    u[:10, :10] = np.nan
    one = HeatMap("u", u, "viridis")
    content = draw_heat_maps([one, HeatMap("exact", None, "viridis")], (x, x), "a title")
    assert content == draw_heat_maps([one, HeatMap("exact", None, "viridis")], (x, x), "a title")
    image = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert image.shape == (SIZE[1], SIZE[0], 3)
    colour = paint(np.array([0.0, 1.0]), 0, 1, "viridis").astype(int)
    where_high = np.argwhere((np.abs(image - colour[1]).sum(-1) < 4) & (np.arange(SIZE[0]) < 420))
    panel = image[66:420, 46:400]
    assert where_high[:, 0].min() < 80  # the largest value at the top right
    assert (panel[-20, 20] == 255).all()  # nothing at the bottom left
    assert not (panel[20, -20] == 255).all()


def test_a_field_in_the_plane_and_a_cut_through_space() -> None:
    x = np.linspace(0, 1, 9)
    u = np.sin(x)[:, None] * x
    for axes, values in (((x, x), u), ((x, x, x), u[..., None] * x)):
        content = draw_field(axes, values, None, values, truth_name="exact", title="t")
        assert content.startswith(b"\x89PNG")
    flat = draw_field((x,), x, x, x, truth_name="exact", title="t")
    assert flat.startswith(b"\x89PNG")


def test_the_logarithm_of_no_error_is_finite() -> None:
    error = log_error(np.ones(3), np.ones(3))
    assert error is not None
    assert np.isfinite(error).all()
    assert log_error(np.ones(3), None) is None
