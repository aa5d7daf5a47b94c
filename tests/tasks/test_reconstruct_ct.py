"""Scans and choices behind `reconstruct-ct`, without the command line."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.fitting.tomography import Prior
from lrnn_cli.numerics.phantoms import Ellipse, bin_sinogram, raster
from lrnn_cli.numerics.phantoms import sinogram as line_sinogram
from lrnn_cli.numerics.projection import Geometry, Projector
from lrnn_cli.signals.sinogram import Sinogram
from lrnn_cli.signals.slices import Slice, read_slice
from lrnn_cli.tasks.ct_choice import Halted, choose_prior
from lrnn_cli.tasks.ct_output import measure
from lrnn_cli.tasks.ct_scan import measured, refined, simulate
from lrnn_cli.tasks.ct_settings import CtSettings, MethodSettings, ScanSettings, preset
from lrnn_cli.tasks.reconstruct_ct import CtTask

SHAPES = (Ellipse(0.5, 0.6, 0.7), Ellipse(0.4, 0.15, 0.25, 0.25, 0.1))


@pytest.fixture
def disc(tmp_path: Path) -> Slice:
    np.save(tmp_path / "disc.npy", raster(SHAPES, 32))
    return read_slice(tmp_path / "disc.npy")


@given(seed=st.integers(0, 99))
def test_refining_keeps_every_mean(seed: int) -> None:
    truth = np.random.default_rng(seed).random((9, 9))
    fine = refined(truth)
    np.testing.assert_allclose(fine.reshape(9, 2, 9, 2).mean(axis=(1, 3)), truth, atol=1e-12)


def test_a_simulated_scan_is_near_the_closed_form(disc: Slice) -> None:
    scan = simulate(disc, ScanSettings(views=9), seed=0)
    exact = bin_sinogram(SHAPES, scan.geometry)
    assert np.linalg.norm(scan.sinogram - exact) < 0.03 * np.linalg.norm(exact)
    halved = simulate(disc, ScanSettings(views=9, size=16), seed=0)
    assert halved.truth is not None and halved.truth.shape == (16, 16)
    assert halved.setting["pixel_size"] == 2
    exact = bin_sinogram(SHAPES, halved.geometry)
    assert np.linalg.norm(halved.sinogram - exact) < 0.03 * np.linalg.norm(exact)


@pytest.mark.parametrize(
    "noise",
    [
        {"noise": "poisson", "i0": 1e5, "electronic": 5.0},
        {"noise": "readout", "tau": 30.0, "readout": 2.0},
        {"noise": "readout", "tau": 30.0, "readout": 0.5},
        {"noise": "readout", "tau": 30.0, "readout": 0.0},
        {"noise": "readout", "tau": 0.3, "readout": 2.0},
    ],
)
def test_the_noise_has_the_variance_it_claims(disc: Slice, noise: dict[str, float]) -> None:
    views = {"views": 150, "size": 16}
    clean = simulate(disc, ScanSettings(**views), seed=0).sinogram
    scan = simulate(disc, ScanSettings(**views, **noise), seed=1)
    assert scan.variance is not None
    counted = np.isfinite(scan.variance)
    assert counted.sum() > 1700
    assert ((scan.sinogram - clean) ** 2 / scan.variance)[counted].mean() == pytest.approx(1, abs=0.07)
    again = simulate(disc, ScanSettings(**views, **noise), seed=1)
    np.testing.assert_array_equal(scan.sinogram, again.sinogram)


def test_chi_squared_counts_the_rays_whose_noise_is_known(disc: Slice) -> None:
    scan = simulate(disc, ScanSettings(views=9, noise="readout", tau=30.0, readout=0.0), seed=0)
    projector, u = Projector(scan.geometry, "strip", torch.float64), np.zeros((32, 32))
    assert scan.variance is not None
    counted = np.isfinite(scan.variance)
    expected = (scan.sinogram[counted] ** 2 / scan.variance[counted]).mean()
    assert measure(u, scan, projector, 0.0, {}).metrics["chi2_reduced"] == pytest.approx(expected, rel=1e-5)
    none = replace(scan, variance=np.full_like(scan.variance, np.inf))
    assert measure(u, none, projector, 0.0, {}).metrics["chi2_reduced"] is None


def test_bins_without_a_photon_are_pointed_out(disc: Slice) -> None:
    bright, dark = (simulate(disc, ScanSettings(views=9, noise="poisson", i0=i0), 0) for i0 in (1e5, 3.0))
    assert not bright.notes
    assert dark.notes[0].endswith("of 414 bins without a photon count as half a photon")
    assert simulate(replace(disc, warnings=("odd",)), ScanSettings(views=9), 0).warnings == ("odd",)


@pytest.mark.parametrize(("box", "inner"), [((3, 29, 0, 32), (1, 7, 0, 8)), ((4, 28, 5, 7), (1, 7, 1, 2))])
def test_measures_leave_blocks_with_padding_out(
    disc: Slice, box: tuple[int, int, int, int], inner: tuple[int, int, int, int]
) -> None:
    """Unless no block is free of it."""
    assert simulate(replace(disc, box=box), ScanSettings(views=9, size=8), seed=0).box == inner


@pytest.mark.parametrize(
    ("degrees", "interval", "words"),
    [
        (np.arange(10) * 18.0, [0, 180], "10 views over [0, 180) degrees"),
        (180 - np.arange(10) * 18.0, [180, 0], "10 views over [180, 0) degrees"),
        (np.array([90.0, 0, 45, 170]), [0, 170], "4 views from 0 to 170 degrees"),
        (np.array([30.0]), [30, 30], "1 views over [30, 30) degrees"),
    ],
)
def test_the_angles_are_told(degrees: np.ndarray, interval: list[float], words: str) -> None:
    found = replace(sinogram(np.ones((len(degrees), 12))), angles=np.deg2rad(degrees))
    scan = measured(found, ScanSettings(sinogram="s.npy", angles="a.txt"))
    assert scan.setting["angles_deg"] == interval
    assert "-0" not in repr(scan.setting["angles_deg"]) and scan.sentence.startswith(words + ", 12 bins")


def sinogram(values: np.ndarray, degrees: float = 180.0) -> Sinogram:
    angles = np.deg2rad(degrees * np.arange(len(values)) / len(values))
    return Sinogram(values, angles, None, "s", "s.npy", "", "float64")


def test_a_measured_scan_is_normalised() -> None:
    angles = np.pi * np.arange(30) / 30
    p = bin_sinogram(SHAPES, Geometry(32, angles, 46))
    small = measured(sinogram(1e-3 * p), ScanSettings(sinogram="s.npy", angles="0:180:30", size=32))
    large = measured(sinogram(1e3 * p), ScanSettings(sinogram="s.npy", angles="0:180:30", size=32))
    np.testing.assert_allclose(small.sinogram, large.sinogram, rtol=1e-5)
    assert large.units.span == pytest.approx(1e6 * small.units.span)
    assert small.truth is None and 0.8 < small.units.span / 0.9e-3 < 1.3


def test_a_slice_smaller_than_the_object_is_pointed_out() -> None:
    angles = np.pi * np.arange(30) / 30
    found = sinogram(bin_sinogram(SHAPES, Geometry(32, angles, 46)))

    def warned(**more: float) -> tuple[str, ...]:
        return measured(found, ScanSettings(sinogram="s.npy", angles="0:180:30", **more)).warnings

    # half axes of 0.6 and 0.7 of 16 pixels
    assert not warned() and not warned(size=32) and not warned(size=22)
    told = "rays that miss the slice of 12 pixels of 1: all methods but FBP press what lies outside into it"
    assert told in warned(size=12)[0]
    remedy = "--size 22, or --pixel-size 1.833 with --detector-spacing 1, takes in all of the object"
    assert warned(size=12)[0].endswith(remedy)
    assert not warned(size=12, pixel_size=1.833, detector_spacing=1.0)
    noisy = replace(found, values=found.values + np.random.default_rng(0).normal(0, 0.2, found.values.shape))
    assert not measured(noisy, ScanSettings(sinogram="s.npy", angles="0:180:30", size=24)).warnings


FAN = {"geometry": "fan", "source_distance": 80.0, "detector_distance": 40.0}


def test_a_simulated_fan_is_near_the_closed_form(disc: Slice) -> None:
    scan = simulate(disc, ScanSettings(views=9, **FAN), seed=0)
    geometry = scan.geometry
    assert (geometry.source_distance, geometry.detector_distance) == (80, 40)
    assert geometry.detector_spacing == pytest.approx(1.5)  # a pixel wide on the axis
    np.testing.assert_allclose(geometry.theta, np.arange(9) * 2 * np.pi / 9)
    exact = line_sinogram(SHAPES, geometry)  # along the middle of the bins
    assert np.linalg.norm(scan.sinogram - exact) < 0.06 * np.linalg.norm(exact)
    assert scan.sentence.startswith("fan beam (80 + 40), 9 views over [0, 360) degrees")
    assert scan.setting["source_distance"] == 80 and not scan.warnings
    # lengths in another unit: the same scan
    larger = {**FAN, "source_distance": 160.0, "detector_distance": 80.0, "pixel_size": 2.0}
    np.testing.assert_allclose(simulate(disc, ScanSettings(views=9, **larger), 0).sinogram, scan.sinogram)


def test_a_measured_fan_takes_its_pixels_from_the_axis() -> None:
    angles = 2 * np.pi * np.arange(30) / 30
    beam = {"source_distance": 80.0, "detector_distance": 40.0}
    p = line_sinogram(SHAPES, Geometry(32, angles, 60, 1.0, 1.5, **beam))
    scan = measured(sinogram(p, 360.0), ScanSettings(sinogram="s.npy", detector_spacing=1.5, **FAN))
    assert (scan.geometry.size, scan.setting["pixel_size"]) == (60, 1.0)
    assert scan.geometry.detector_spacing == pytest.approx(1.5)
    assert 0.8 < scan.units.span / 0.9 < 1.3


def test_a_fan_that_turns_too_little_is_pointed_out(disc: Slice) -> None:
    def warned(end: float) -> tuple[str, ...]:
        return simulate(disc, ScanSettings(views=40, range=(0.0, end), **FAN), seed=0).warnings

    assert not warned(360) and not warned(220)
    assert "turns 180 degrees, but half a turn and the fan make 21" in warned(180)[0]
    assert "the fan beam turns" in warned(200)[0]


def test_matrices_above_the_limit_are_not_stored(disc: Slice) -> None:
    stored, free = (
        CtTask(
            disc,
            CtSettings(
                scan={"views": 9, "matrix_memory_mb": limit}, method={"methods": ["sart"], "iterations": 3}
            ),
        )
        for limit in (1024.0, 0.0)
    )
    assert stored.projector().is_matrix and not free.projector().is_matrix
    assert not stored.scan.notes and "more than --matrix-memory 0" in free.scan.notes[0]
    for task in (stored, free):
        assert [step.event is not None for step in task.steps(lambda: False)] == [True]
    torch.testing.assert_close(free.done.images["sart"], stored.done.images["sart"], atol=1e-5, rtol=1e-4)


def test_scans_that_make_no_sense() -> None:
    values = np.ones((6, 12))
    with pytest.raises(ConfigError, match=r"--center 50: expected a bin from 0 to 11"):
        measured(sinogram(values), ScanSettings(sinogram="s.npy", angles="0:180:6", center=50.0))
    with pytest.raises(ConfigError, match=r"--center auto: .* give --center BIN"):
        measured(sinogram(values, 40), ScanSettings(sinogram="s.npy", angles="0:40:6", center="auto"))
    near = ScanSettings(sinogram="s.npy", **{**FAN, "source_distance": 5.0})
    with pytest.raises(ConfigError, match="--source-distance 5: the source must stand outside the image"):
        measured(sinogram(values, 360), near)
    with pytest.raises(InputError, match="a first reconstruction is empty"):
        measured(sinogram(-values), ScanSettings(sinogram="s.npy", angles="0:180:6"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ScanSettings(dark="d.npy"), "--dark belongs to --sinogram"),
        (lambda: ScanSettings(sinogram="s", inverse_crime=True), "--inverse-crime simulates a scan"),
        (lambda: ScanSettings(sinogram="s", noise="poisson"), "a measured sinogram has its own"),
        (lambda: ScanSettings(radians=True), "--radians belongs to --sinogram"),
        (lambda: ScanSettings(layout="bins-first"), "--layout belongs to --sinogram"),
        (lambda: ScanSettings(i0=1e3), "--i0 belongs to --noise poisson; give both or none"),
        (lambda: ScanSettings(noise="readout", electronic=5), "--electronic belongs to --noise poisson"),
        (lambda: ScanSettings(noise="poisson", tau=9), "--tau belongs to --noise readout"),
        (lambda: ScanSettings(range=(1.0, 1.0)), "expected different angles, got 1:1"),
        (lambda: ScanSettings(source_distance=9.0), "belong to a fan beam; add --geometry fan"),
        (lambda: ScanSettings(geometry="fan", source_distance=9.0), "--geometry fan needs --source-distance"),
        (lambda: ScanSettings(**FAN, operator="rotate"), "a turned image has parallel rays"),
        (lambda: ScanSettings(**FAN, sinogram="s", center="auto"), "for a fan beam give --center BIN"),
        (lambda: MethodSettings(methods=()), "expected at least one of fbp"),
        (lambda: MethodSettings(methods=("tv", "tv")), "expected every method once"),
        (lambda: MethodSettings(methods=("sirenn",)), "did you mean 'siren'"),
        (lambda: MethodSettings(iterations=0), "expected more than 0, or auto"),
        (
            lambda: CtSettings(model={"options": {"rank": 3}}, method={"methods": ["tv"]}),
            "exactly one network",
        ),
        (lambda: preset("paper"), "expected one of fast, best"),
    ],
)
def test_settings_that_make_no_sense(make: object, message: str) -> None:
    with pytest.raises((ValueError, ConfigError), match=message):
        make()  # type: ignore[operator]


def test_settings_written_out_are_read_again() -> None:
    for asked in (
        ScanSettings(),
        ScanSettings(noise="poisson", i0=1e3),
        ScanSettings(noise="readout", tau=9),
    ):
        assert ScanSettings(**asked.model_dump()) == asked


def test_the_prior_is_chosen_by_views_held_out() -> None:
    geometry = Geometry(24, np.pi * np.arange(12) / 12, 35)
    projector = Projector(geometry)
    truth = torch.from_numpy(raster(SHAPES, 24)).float()
    data = projector.forward(truth)
    candidates = ((0.02, 0.05), (0.5, 5.0))  # the second one blurs everything
    found, errors = choose_prior(
        projector, data, None, 0.01, lambda step, h: Prior(step, h), candidates=candidates
    )
    assert found == candidates[0] and errors[0] < 0.5 * errors[1]
    make, equal = (lambda step, h: Prior(step, h)), torch.full_like(data, 3.0)
    weighted, _ = choose_prior(projector, data, equal, 0.03, make, candidates=candidates)
    assert weighted == candidates[0]
    with pytest.raises(Halted):
        choose_prior(projector, data, equal, 0.03, make, should_stop=lambda: True)
