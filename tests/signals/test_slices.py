"""Slices to simulate scans of: units, padding, block means."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import InputError
from lrnn_cli.signals.slices import GREY, HOUNSFIELD, Units, block_means, padded, read_slice
from tests.cli.conftest import colours, write_png

SAMPLES = Path(__file__).parents[2] / "sample_data"


@given(offset=st.floats(-2000, 2000), span=st.floats(0.01, 5000), u=st.floats(0, 3))
def test_units_round_trip(offset: float, span: float, u: float) -> None:
    value = Units("x", offset, span).restore(np.array([u]))
    assert (float(value[0]) - offset) / span == pytest.approx(u, abs=1e-3 * max(1, abs(offset) / span))


def test_water_and_air_in_hounsfield_units() -> None:
    np.testing.assert_array_equal(HOUNSFIELD.restore(np.array([0.0, 0.5])), [-1000, 0])


@given(h=st.integers(1, 20), w=st.integers(1, 20))
def test_padding_keeps_every_pixel(h: int, w: int) -> None:
    values = np.arange(1.0, h * w + 1).reshape(h, w)
    square, (top, bottom, left, right) = padded(values)
    assert square.shape == (max(h, w),) * 2
    np.testing.assert_array_equal(square[top:bottom, left:right], values)
    assert square.sum() == values.sum()


def test_dicom_png_and_array_agree(tmp_path: Path) -> None:
    dicom = read_slice(SAMPLES / "CT_small.dcm")
    image = read_slice(SAMPLES / "ct_small128_u16.png")
    inside = (dicom.u > 0) & (dicom.u < 1)
    np.testing.assert_allclose(image.u[inside], dicom.u[inside], atol=1e-4)
    assert (dicom.units, image.units, dicom.pixel_size, image.pixel_size) == (HOUNSFIELD, GREY, 0.661468, 1.0)
    np.save(tmp_path / "a.npy", dicom.u)
    np.testing.assert_array_equal(read_slice(tmp_path / "a.npy").u, dicom.u)


def test_colours_become_grey_and_oblongs_are_padded(tmp_path: Path) -> None:
    found = read_slice(write_png(tmp_path / "a.png", colours(18, 24)))
    assert found.u.shape == (24, 24) and found.box == (3, 21, 0, 24) and found.shape == (18, 24)
    assert any("converted to grey" in note for note in found.notes)
    assert found.notes[-1] == "24x18 pixels padded with air to 24x24"


def test_negative_values_are_set_to_zero(tmp_path: Path) -> None:
    values = np.ones((9, 9), dtype=np.float32)
    values[2, 2] = -1
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    found = read_slice(tmp_path / "a.tif")
    assert found.u.min() == 0 and "1 values below 0 are set to 0" in found.notes[-1]


@pytest.mark.parametrize("suffix", ["npy", "tif"])
@pytest.mark.parametrize(("low", "high", "peak"), [(-1, 1, 1), (-1, 3, 3), (0, 0.7, 1), (2, 3, 3)])
def test_the_peak_is_that_of_the_values_that_are_used(
    tmp_path: Path, suffix: str, low: float, high: float, peak: float
) -> None:
    path, values = tmp_path / f"a.{suffix}", np.full((9, 9), high, dtype=np.float32)
    values[2, 2:5] = low
    np.save(path, values) if suffix == "npy" else tifffile.imwrite(path, values, photometric="minisblack")
    found = read_slice(path)
    assert found.data_range == peak
    assert [note for note in found.notes if "peak" in note] == (
        ["values kept as stored; the peak of PSNR and SSIM is the largest, 3"] if peak == 3 else []
    )


def test_whole_numbers_in_arrays_are_read_as_those_of_images(tmp_path: Path) -> None:
    values = np.arange(81, dtype=np.uint8).reshape(9, 9) * 3
    np.save(tmp_path / "a.npy", values)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    array, image = read_slice(tmp_path / "a.npy"), read_slice(tmp_path / "a.tif")
    np.testing.assert_allclose(array.u, image.u, rtol=1e-6)
    assert array.notes == ("uint8 values divided by 255, as those of images are",)
    assert (array.dtype, array.data_range, array.warnings) == ("uint8", 1.0, ())
    np.save(tmp_path / "b.npy", values.astype(np.uint16) * 257)
    np.testing.assert_allclose(read_slice(tmp_path / "b.npy").u, array.u)


@pytest.mark.parametrize(("largest", "warns"), [(0.02, True), (0.05, False), (3, False), (1500, True)])
def test_scales_that_nothing_suits_are_pointed_out(tmp_path: Path, largest: float, warns: bool) -> None:
    np.save(tmp_path / "a.npy", np.full((9, 9), float(largest)))
    told = read_slice(tmp_path / "a.npy").warnings
    assert len(told) == warns
    assert not warns or f"the largest value of the slice is {largest:g}, but water is taken" in told[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.ones((4, 40)), r"at least 8x8 values, got shape \(4, 40\)"),
        (np.ones((9, 9, 9)), r"at least 8x8 values, got shape \(9, 9, 9\)"),
        (np.zeros((9, 9)), "nothing but zeros"),
        (np.full((9, 9), -1.0), "values below 0 outweigh those above, as in Hounsfield units"),
        (np.where(np.eye(9) > 0, 800, -1000), r"save \(HU \+ 1000\) / 2000, in which water is 0.5"),
        (np.full((9, 9), np.nan), "NaN"),
        (np.ones((8, 5000)), r"at most 4096 pixels a side"),
    ],
)
def test_arrays_that_are_no_slice(tmp_path: Path, values: np.ndarray, message: str) -> None:
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(InputError, match=message):
        read_slice(tmp_path / "a.npy")


def test_block_means() -> None:
    values = np.arange(256.0).reshape(16, 16)
    means = block_means(values, 8, "a")
    assert means.shape == (8, 8) and means[0, 0] == np.mean([0, 1, 16, 17])
    with pytest.raises(InputError, match=r"a: --size 12 does not divide its 16 pixels; use 16 or 8"):
        block_means(values, 12, "a")
