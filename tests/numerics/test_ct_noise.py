"""Noise, counts, the centre of rotation, phantoms and the choice of strengths."""

import math
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lrnn_cli.numerics.chest_phantom import chest
from lrnn_cli.numerics.choice import Choice, choose_sart, choose_tv, heldout_views, reduced_chi2
from lrnn_cli.numerics.noise import (
    count_starved,
    from_counts,
    poisson,
    readout,
    readout_variance,
    readout_weights,
)
from lrnn_cli.numerics.phantoms import BLOBS, Blob, Ellipse, raster, sinogram
from lrnn_cli.numerics.projection import Geometry, Projector
from lrnn_cli.numerics.rotation_center import find_center, mirrored_views
from lrnn_cli.numerics.sart import sart
from lrnn_cli.numerics.total_variation import tv, weight_scale

ROOT = Path(__file__).resolve().parents[2]


def half_turn(n_views: int) -> np.ndarray:
    return np.arange(n_views) * math.pi / n_views


@pytest.mark.parametrize(("i0", "sigma"), [(1e5, 0.0), (1e4, 20.0)])
def test_poisson_noise_has_the_stated_mean_and_variance(i0: float, sigma: float) -> None:
    p = np.full((200, 200), 1.5)
    noisy, weights = poisson(p, i0, sigma, seed=3)
    n = i0 * math.exp(-1.5)
    variance = (n + sigma**2) / n**2
    assert noisy.mean() == pytest.approx(1.5, abs=5 * math.sqrt(variance) / 200 + variance)
    assert noisy.var() == pytest.approx(variance, rel=0.03)
    assert np.median(weights) == pytest.approx(1 / variance, rel=0.03)
    again, _ = poisson(p, i0, sigma, seed=3)
    assert (again == noisy).all()
    assert (poisson(p, i0, sigma, seed=4)[0] != noisy).any()


def test_counts_without_a_photon_stay_finite() -> None:
    p, weights = poisson(np.full((4, 5), 50.0), 100.0)
    np.testing.assert_allclose(p, math.log(200))
    assert (weights < 1).all()
    assert count_starved(p, 100.0) == 20
    p, _ = from_counts(np.array([[0.0, 3.0], [0.4, 0.6]]), i0=np.array([10.0, 20.0]))
    assert count_starved(p, np.array([10.0, 20.0])) == 2


def test_line_integrals_from_raw_counts() -> None:
    p = np.array([[0.0, 1.0, 2.0], [0.5, 0.1, 3.0]])
    flat, dark = np.array([1000.0, 900.0, 1100.0]), np.array([10.0, 12.0, 8.0])
    counts = dark + (flat - dark) * np.exp(-p)
    got, weights = from_counts(counts, flat=np.stack([flat + 5, flat - 5]), dark=dark)
    np.testing.assert_allclose(got, p, atol=1e-12)
    np.testing.assert_allclose(weights, counts - dark)
    np.testing.assert_allclose(from_counts(500 * np.exp(-p), i0=500.0)[0], p, atol=1e-12)
    with pytest.raises(ValueError, match="flat and i0: expected one of them"):
        from_counts(counts)
    with pytest.raises(ValueError, match="open-beam counts above the dark field"):
        from_counts(counts, flat=dark, dark=dark)
    with pytest.raises(ValueError, match="counts: expected finite values, got 1 NaN"):
        from_counts(np.array([1.0, math.nan]), i0=3.0)
    with pytest.raises(ValueError, match="counts: expected no negative numbers, got 1 of 2"):
        from_counts(np.array([1.0, -1.0]), i0=3.0)


def test_readout_noise_has_the_stated_mean_and_variance() -> None:
    p = np.concatenate([np.full(40000, 60.0), np.full(40000, -2.0)])
    noisy = readout(p, 30.0, 2.0, seed=1)
    for part, mean in ((noisy[:40000], 60.0), (noisy[40000:], -2.0)):
        variance = (30 * abs(mean) + 4) / 900
        assert part.mean() == pytest.approx(mean, abs=5 * math.sqrt(variance / 40000))
        assert part.var() == pytest.approx(variance, rel=0.03)
        assert readout_variance(np.array([mean])) == pytest.approx(variance)
    np.testing.assert_array_equal(readout_variance(np.array([0.0, 1 / 64]), 32.0, 0.5), np.inf)
    assert readout_variance(np.array([0.0]), 10.0, 2.0) == pytest.approx(4 / 100)
    assert readout_weights(np.array([60.0]), 30.0, 2.0)[0] == pytest.approx(900 / 1804)
    assert (noisy == readout(p, 30.0, 2.0, seed=1)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: poisson(np.zeros(2), 0.0), "i0: expected a positive number of photons"),
        (lambda: poisson(np.zeros(2), 1.0, -1.0), "electronic_std: expected 0 or more"),
        (lambda: readout(np.zeros(2), 0.0), "photons: expected a positive number"),
        (lambda: readout_weights(np.zeros(2), 1.0, -1.0), "readout_std: expected 0 or more"),
        (lambda: readout_variance(np.zeros(2), 0.0), "photons: expected a positive number"),
    ],
)
def test_what_makes_no_noise(call, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("center", [40.0, 45.25, 52.6])
@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.parametrize("noisy", [False, True])
def test_the_centre_of_rotation(center: float, turn: int, noisy: bool) -> None:
    geometry = Geometry(64, half_turn(91) * turn, 95, center=center)
    p = sinogram([*BLOBS, Ellipse(0.5, 0.1, 0.4, 0.3, 0.1)], geometry)
    if noisy:
        p = poisson(p / 10, 1e4, seed=0)[0]
    assert find_center(p, geometry.theta) == pytest.approx(center, abs=0.5)


@pytest.mark.parametrize(("n_bins", "center"), [(90, 60.5), (128, 83.5), (90, 28.5)])
@pytest.mark.parametrize("turn", [1, 2])
@pytest.mark.parametrize("i0", [None, 1e4])
def test_the_centre_of_an_object_in_one_half_of_the_detector(
    n_bins: int, center: float, turn: int, i0: float | None
) -> None:
    """The other half is empty, and as good as any mirror image of itself."""
    geometry = Geometry(40, half_turn(60) * turn, n_bins, center=center)
    p = sinogram([Ellipse(1.0, 0.7, 0.5, 0.1, 0.1), Ellipse(0.5, 0.2, 0.1, -0.3, 0.1)], geometry)
    if i0 is not None:
        p = poisson(p / 10, i0, seed=0)[0]
    assert find_center(p, geometry.theta) == pytest.approx(center, abs=0.5)
    assert find_center(p[:, ::-1], -geometry.theta) == pytest.approx(n_bins - 1 - center, abs=0.5)


def test_nothing_has_its_centre_anywhere() -> None:
    assert 0 <= find_center(np.zeros((9, 20)), half_turn(9)) <= 19


def test_what_has_no_centre() -> None:
    with pytest.raises(ValueError, match="over at least half a turn"):
        find_center(np.ones((9, 9)), np.radians(np.arange(9.0) * 10))
    with pytest.raises(ValueError, match="over at least half a turn"):
        find_center(np.ones((1, 9)), np.zeros(1))
    assert len(mirrored_views(np.radians(np.arange(360.0)))) == 24
    assert mirrored_views(half_turn(10)) == [(0, 9)]


def test_phantoms_have_the_mass_of_their_formulas() -> None:
    ellipse = Ellipse(2.0, 0.5, 0.3, 0.1, -0.2, 0.4)
    assert raster([ellipse], 64).sum() * (2 / 64) ** 2 == pytest.approx(2 * math.pi * 0.15, rel=1e-3)
    blob = Blob(1.5, 0.1, 0.2, 0.3)
    assert raster([blob], 64).sum() * (2 / 64) ** 2 == pytest.approx(1.5 * 2 * math.pi * 0.01, rel=1e-6)
    top = raster([Ellipse(1.0, 0.1, 0.1, 0.5, 0.5)], 32)
    assert np.argwhere(top).mean(axis=0) == pytest.approx([7.5, 23.5])


def test_the_chest_phantom_is_that_of_the_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "chest.png"
    script = ROOT / "scripts" / "make_chest_phantom.py"
    monkeypatch.setattr(sys, "argv", [str(script), str(target)])
    runpy.run_path(str(script), run_name="__main__")
    sample = ROOT / "sample_data" / "chest_phantom512_u16.png"
    assert sample.stat().st_size < 400_000
    from PIL import Image

    made, kept = (np.asarray(Image.open(path), dtype=np.int64) for path in (target, sample))
    assert made.shape == (512, 512)
    assert np.abs(made - kept).max() <= 33  # one Hounsfield unit, where another libm rounds the other way


def test_the_chest_phantom_at_another_size() -> None:
    small, large = chest(64), chest(128)
    assert small.min() >= 0 and small.max() <= 1
    assert np.abs(large.reshape(64, 2, 64, 2).mean(axis=(1, 3)) - small).mean() < 0.01
    assert np.abs(chest(64, seed=1) - small).mean() > 1e-3
    assert not small[:8].any()  # air round the body: no ray is cut


def test_views_left_out() -> None:
    for n in (3, 4, 10, 20, 100, 101):
        kept, out = heldout_views(n)
        assert len(out) == max(1, round(0.1 * n))
        assert sorted([*kept, *out]) == list(range(n))
        assert 0 not in out and n - 1 not in out
    with pytest.raises(ValueError, match="n_views: expected at least 3"):
        heldout_views(2)
    with pytest.raises(ValueError, match="fraction: expected a number between 0 and 1"):
        heldout_views(9, 1.0)


@pytest.fixture(scope="module")
def noisy_scan() -> tuple[Projector, torch.Tensor, torch.Tensor, torch.Tensor]:
    size = 64
    truth = chest(size)
    geometry = Geometry(size, half_turn(60), 91)
    clean = Projector(geometry, "strip", torch.float64).forward(torch.as_tensor(truth)).numpy()
    noisy = readout(clean, 60.0, 4.0, seed=0)
    weights = readout_weights(noisy, 60.0, 4.0)
    return (Projector(geometry), *(torch.as_tensor(a, dtype=torch.float32) for a in (noisy, weights, truth)))


@pytest.mark.parametrize("noise_known", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_chosen_strength_is_near_the_best(noisy_scan, noise_known: bool, weighted: bool) -> None:
    projector, data, weights, truth = noisy_scan
    if noise_known and not weighted:
        return
    w = weights if weighted else None
    choice = choose_tv(projector, data, w, noise_known, 60)
    assert choice.rule == ("discrepancy" if noise_known else "held-out views")
    scale = weight_scale(projector, data, w)
    errors = [
        float((tv(projector, data, strength * scale, 60, weights=w) - truth).square().mean())
        for strength in (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    ]
    error = float((choice.image - truth).square().mean())
    assert error < 1.35 * min(errors)  # 1.3 dB; the discrepancy principle smooths too much
    assert max(errors) > 1.8 * min(errors)  # so that this says something
    if noise_known:
        assert reduced_chi2(projector, choice.image, data, weights) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("method", ["sart", "sirt"])
def test_the_chosen_number_of_sweeps(noisy_scan, method: str) -> None:
    projector, data, weights, truth = noisy_scan
    choice = choose_sart(projector, data, method=method)
    assert isinstance(choice, Choice)
    least = min(choice.history.values())
    sweeps = [k for k, score in choice.history.items() if score <= 1.03 * least]
    assert choice.setting == sweeps[0] < min(choice.history, key=lambda k: choice.history[k])
    known = choose_sart(projector, data, weights, noise_known=True, method=method)
    assert known.rule == "discrepancy"
    assert known.setting == len(known.history)
    errors: list[float] = []
    sart(projector, data, 30, callback=lambda _, x: errors.append(float((x - truth).square().mean())))
    for found in (choice, known):
        assert float((found.image - truth).square().mean()) < 1.6 * min(errors)


def test_what_cannot_be_chosen(noisy_scan) -> None:
    projector, data, _, _ = noisy_scan
    with pytest.raises(ValueError, match="weights: with known noise expected the inverse variances"):
        choose_tv(projector, data, noise_known=True)
    with pytest.raises(ValueError, match="weights: with known noise expected the inverse variances"):
        choose_sart(projector, data, noise_known=True)
    with pytest.raises(ValueError, match="method: expected sart or sirt, got art"):
        choose_sart(projector, data, method="art")
