"""The Radon operator against closed forms and against itself."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.numerics.phantoms import (
    BLOBS,
    SHEPP_LOGAN,
    Blob,
    Ellipse,
    bin_sinogram,
    raster,
    sinogram,
)
from lrnn_cli.numerics.projection import Geometry, Projector, default_bins

FAN = {"source_distance": 200.0, "detector_distance": 150.0}


def half_turn(n_views: int) -> np.ndarray:
    return np.arange(n_views) * math.pi / n_views


def project(image: np.ndarray, geometry: Geometry, model: str = "joseph") -> np.ndarray:
    return Projector(geometry, model, dtype=torch.float64).forward(torch.tensor(image.copy())).numpy()


def rel(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@settings(max_examples=25)
@given(
    size=st.integers(1, 20),
    n_bins=st.integers(1, 30),
    angles=st.lists(st.floats(-7, 7), min_size=1, max_size=4),
    pixel=st.floats(0.3, 3),
    spacing=st.floats(0.3, 3),
    center=st.none() | st.floats(-5, 30),
    fan=st.booleans(),
    model=st.sampled_from(["joseph", "strip", "rotate"]),
    stored=st.booleans(),
)
def test_adjoint(size, n_bins, angles, pixel, spacing, center, fan, model, stored) -> None:
    beam = FAN if fan and model != "rotate" else {}
    geometry = Geometry(size, angles, n_bins, pixel, spacing, center, **beam)
    projector = Projector(geometry, model, torch.float64, memory_limit_mb=1024 if stored else 0)
    assert projector.is_matrix == stored
    x = torch.rand(2, size, size, dtype=torch.float64)
    y = torch.rand(2, len(angles), n_bins, dtype=torch.float64)
    forward, adjoint = (projector.forward(x) * y).sum(), (x * projector.adjoint(y)).sum()
    assert abs(float(forward - adjoint)) <= 1e-12 * max(1e-3, abs(float(forward)))


@pytest.mark.parametrize("model", ["joseph", "strip", "rotate"])
@pytest.mark.parametrize("fan", [False, True])
def test_without_a_matrix_the_same_numbers(model: str, fan: bool) -> None:
    if fan and model == "rotate":
        return
    geometry = Geometry(33, half_turn(7) + 0.1, 50, center=23.3, **(FAN if fan else {}))
    stored, free = Projector(geometry, model), Projector(geometry, model, memory_limit_mb=0)
    x, y = torch.rand(3, 33, 33), torch.rand(7, 50)
    torch.testing.assert_close(free.forward(x), stored.forward(x), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(free.adjoint(y), stored.adjoint(y), rtol=1e-5, atol=1e-5)
    for projector in (stored, free):
        part = projector.view_subset([5, 1])
        assert part.geometry.angles == (geometry.angles[5], geometry.angles[1])
        torch.testing.assert_close(part.forward(x), stored.forward(x)[:, [5, 1]], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(
            part.adjoint(y[[5, 1]]),
            stored.adjoint(torch.zeros_like(y).index_copy(0, torch.tensor([5, 1]), y[[5, 1]])),
        )


def test_gradient_is_the_adjoint_and_may_be_taken_twice() -> None:
    projector = Projector(Geometry(9, half_turn(4), 14), dtype=torch.float64)
    x = torch.rand(9, 9, dtype=torch.float64, requires_grad=True)
    y = torch.rand(4, 14, dtype=torch.float64)
    (grad,) = torch.autograd.grad((projector.forward(x) * y).sum(), x)
    torch.testing.assert_close(grad, projector.adjoint(y), rtol=1e-13, atol=0)
    assert torch.autograd.gradcheck(lambda z: projector.forward(z).square().sum(), x)
    assert torch.autograd.gradgradcheck(lambda z: projector.forward(z).square().sum(), x)


@pytest.mark.parametrize("size", [255, 256])
@pytest.mark.parametrize("odd", [0, 1])
@pytest.mark.parametrize("model", ["joseph", "strip"])
def test_shepp_logan_in_closed_form(size: int, odd: int, model: str) -> None:
    geometry = Geometry(size, half_turn(20), default_bins(size) + odd)
    assert (
        rel(project(raster(SHEPP_LOGAN, size), geometry, model), bin_sinogram(SHEPP_LOGAN, geometry)) < 1e-2
    )


@pytest.mark.parametrize("model", ["joseph", "strip", "rotate"])
@pytest.mark.parametrize("odd", [0, 1])
def test_blobs_in_closed_form(model: str, odd: int) -> None:
    n = 128 + odd
    geometry = Geometry(n, half_turn(30) * 2, default_bins(n) + odd, pixel_size=0.7, detector_spacing=0.7)
    assert rel(project(raster(BLOBS, n), geometry, model), sinogram(BLOBS, geometry)) < 2e-3


@pytest.mark.parametrize("model", ["joseph", "strip"])
def test_fan_beam_against_a_disc_and_blobs_in_closed_form(model: str) -> None:
    # half a disc's edge lies between pixels, hence more than for smooth blobs
    disc = [Ellipse(1.0, 0.5, 0.5, 0.2, -0.1)]
    n = 128
    geometry = Geometry(n, half_turn(24) * 2, default_bins(n, **FAN), **FAN)
    assert rel(project(raster(disc, n), geometry, model), sinogram(disc, geometry)) < 1.5e-2
    assert rel(project(raster(BLOBS, n), geometry, model), sinogram(BLOBS, geometry)) < 2e-3


def test_a_far_source_is_a_parallel_beam() -> None:
    image = raster(BLOBS, 32)
    parallel = Geometry(32, half_turn(5), 47)
    fan = Geometry(32, half_turn(5), 47, source_distance=1e9, detector_distance=0.0)
    for model in ("joseph", "strip"):
        np.testing.assert_allclose(project(image, fan, model), project(image, parallel, model), atol=1e-5)


def test_mass_of_every_view() -> None:
    rough = np.random.default_rng(0).random((64, 64))
    geometry = Geometry(64, half_turn(45) * 2, default_bins(64))
    mass = project(rough, geometry, "strip").sum(axis=1)
    np.testing.assert_allclose(mass, rough.sum(), rtol=1e-12)
    smooth = raster([Blob(1.0, 0.15, 0.1, -0.1), Blob(0.5, 0.13, -0.2, 0.2)], 128)
    geometry = Geometry(128, half_turn(23) * 2, default_bins(128))
    for model in ("joseph", "rotate"):
        np.testing.assert_allclose(project(smooth, geometry, model).sum(axis=1), smooth.sum(), rtol=1e-5)


def test_wide_bins_keep_the_mass_and_average_narrow_ones() -> None:
    image = np.random.default_rng(0).random((32, 32))
    wide = project(image, Geometry(32, half_turn(9), 23, pixel_size=0.5), "strip")
    narrow = project(image, Geometry(32, half_turn(9), 69, pixel_size=0.5, detector_spacing=1 / 3), "strip")
    np.testing.assert_allclose(wide, narrow.reshape(9, 23, 3).mean(axis=2), atol=1e-12)


@pytest.mark.parametrize("model", ["joseph", "strip", "rotate"])
def test_half_a_turn_mirrors_a_view(model: str) -> None:
    image = np.random.default_rng(0).random((21, 21))
    for n_bins in (30, 31):
        here = project(image, Geometry(21, half_turn(8) + 0.05, n_bins), model)
        there = project(image, Geometry(21, half_turn(8) + 0.05 + math.pi, n_bins), model)
        np.testing.assert_allclose(there, here[:, ::-1], atol=1e-9)


def test_handedness() -> None:
    # a bar through the middle that rises to the right at 30°: its normal points to 120°
    n = 65
    axis = np.arange(n) - (n - 1) / 2
    x, y = axis[None, :], -axis[:, None]
    bar = (np.abs(-x * math.sin(math.pi / 6) + y * math.cos(math.pi / 6)) < 1.5) * (np.hypot(x, y) < 30) * 1.0
    degrees = np.arange(0, 180, 10)
    peaks = project(bar, Geometry(n, np.radians(degrees), 93)).max(axis=1)
    assert degrees[peaks.argmax()] == 120
    # a pixel above and to the right of the middle: bins grow to the right in view 0, upwards in view 90°
    dot = np.zeros((n, n))
    dot[10, 50] = 1
    views = project(dot, Geometry(n, [0.0, math.pi / 2], 93))
    assert views.argmax(axis=1).tolist() == [46 + 50 - 32, 46 + 32 - 10]
    # the axis of rotation may lie anywhere on the detector
    moved = project(dot, Geometry(n, [0.0, math.pi / 2], 93, center=40.0))
    assert moved.argmax(axis=1).tolist() == [40 + 50 - 32, 40 + 32 - 10]


def test_a_quarter_turn_of_the_image_shifts_the_views() -> None:
    image = np.random.default_rng(0).random((20, 20))
    geometry = Geometry(20, half_turn(8), 29)
    turned = project(np.rot90(image), geometry)  # counterclockwise
    np.testing.assert_allclose(turned[4:], project(image, geometry)[:4], atol=1e-12)


def test_rotate_and_sum_is_roughly_joseph() -> None:
    n = 128
    geometry = Geometry(n, half_turn(16), default_bins(n))
    disc = raster([Ellipse(1.0, 0.6, 0.4, 0.1, 0.1, 0.4)], n)
    assert rel(project(disc, geometry, "rotate"), project(disc, geometry)) < 0.02


def test_no_ray_of_the_default_detector_is_cut() -> None:
    for n in (4, 7, 16):
        for angles, beam in (
            (half_turn(40), {}),
            (2 * half_turn(40), {"source_distance": 20.0, "detector_distance": 5.0}),
        ):
            n_bins = default_bins(n, 1.0, 0.5, **beam)
            corners = np.zeros((n, n))
            corners[[0, 0, -1, -1], [0, -1, 0, -1]] = 1
            exact = project(corners, Geometry(n, angles, n_bins, 1.0, 0.5, **beam), "strip")
            more = project(corners, Geometry(n, angles, n_bins + 40, 1.0, 0.5, **beam), "strip")
            np.testing.assert_allclose(exact.sum(1), more.sum(1), rtol=1e-9)
    assert default_bins(256) == 363


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"angles": []}, "at least one view"),
        ({"angles": [math.nan]}, "all angles finite"),
        ({"size": 0}, "size: expected at least 1"),
        ({"n_bins": 0}, "n_bins: expected at least 1"),
        ({"pixel_size": 0.0}, "pixel_size: expected a positive length"),
        ({"detector_spacing": -1.0}, "detector_spacing: expected a positive length"),
        ({"center": math.inf}, "center: expected a finite bin coordinate"),
        ({"source_distance": 100.0}, "a fan beam needs both"),
        ({"source_distance": 5.0, "detector_distance": 1.0}, "must stand outside the image"),
        ({"source_distance": 50.0, "detector_distance": -1.0}, "detector_distance: expected 0 or more"),
    ],
)
def test_what_makes_no_scan(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Geometry(**{"size": 8, "angles": [0.0], "n_bins": 12, **arguments})


def test_what_makes_no_projector() -> None:
    geometry = Geometry(8, [0.0], 12)
    with pytest.raises(ValueError, match="model: expected joseph, strip, rotate, got siddon"):
        Projector(geometry, "siddon")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"dtype: expected torch\.float32"):
        Projector(geometry, dtype=torch.float16)
    with pytest.raises(ValueError, match="rotate: a turned image has parallel rays"):
        Projector(Geometry(8, [0.0], 12, **FAN), "rotate")
    with pytest.raises(ValueError, match="source_distance: expected more than"):
        default_bins(8, source_distance=2.0, detector_distance=1.0)
    projector = Projector(geometry)
    with pytest.raises(ValueError, match=r"image: expected shape \(..., 8, 8\), got \(7, 8\)"):
        projector.forward(torch.zeros(7, 8))
    with pytest.raises(ValueError, match=r"sinogram: expected shape \(..., 1, 12\), got \(12,\)"):
        projector.adjoint(torch.zeros(12))
    with pytest.raises(ValueError, match="known in closed form for a parallel beam only"):
        bin_sinogram(SHEPP_LOGAN, Geometry(8, [0.0], 12, **FAN))
