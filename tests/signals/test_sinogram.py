"""Measured sinograms: layouts, angles, counts, and what is said about odd ones."""

import math
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from lrnn_cli.errors import InputError
from lrnn_cli.signals.sinogram import edge_warning, oriented, read_angles, read_sinogram


def bump(views: int = 6, bins: int = 11) -> np.ndarray:
    """Line integrals that vanish at the edges and differ from view to view."""
    s = np.linspace(-1, 1, bins)
    return np.maximum(1 - s**2, 0) ** 4 * (1 + 0.1 * np.arange(views)[:, None])


def save(path: Path, values: np.ndarray) -> Path:
    if path.suffix == ".npy":
        np.save(path, values)
    elif path.suffix == ".npz":
        np.savez(path, sinogram=values, angles=np.arange(len(values)) * 30.0)
    elif path.suffix == ".tif":
        tifffile.imwrite(path, values.astype(np.float32))
    else:
        np.savetxt(path, values, delimiter=",")
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".csv"])
def test_formats_agree(tmp_path: Path, suffix: str) -> None:
    path = save(tmp_path / f"s{suffix}", bump())
    found = read_sinogram(path, None if suffix == ".npz" else "0:180:6")
    np.testing.assert_allclose(found.values, bump(), atol=1e-6)
    np.testing.assert_allclose(found.angles, np.deg2rad([0, 30, 60, 90, 120, 150]))
    assert (found.name, found.weights, found.warnings) == ("s", None, ())


@given(views=st.integers(1, 9), bins=st.integers(10, 20))
def test_layout_is_told_by_the_number_of_angles(views: int, bins: int) -> None:
    values = np.arange(views * bins, dtype=float).reshape(views, bins)
    upright, notes = oriented(values, views, "auto", "s")
    turned, more = oriented(values.T, views, "auto", "s")
    np.testing.assert_array_equal(upright, values)
    np.testing.assert_array_equal(turned, values)
    assert notes == [] and "read as bins x views and transposed" in more[0]


def test_a_square_sinogram_says_how_it_was_read() -> None:
    _, notes = oriented(np.ones((5, 5)), 5, "auto", "s")
    assert "as many rows as columns" in notes[0]


def test_numbers_that_fit_no_layout() -> None:
    with pytest.raises(InputError, match=r"7 angles fit neither its 6 rows nor its 11 columns"):
        oriented(bump(), 7, "auto", "s.npy")
    with pytest.raises(InputError, match=r"there are 6 angles; as --layout angles-first it would fit"):
        oriented(bump(), 6, "bins-first", "s.npy")
    with pytest.raises(InputError, match=r"it has 6 views, but there are 7 angles; check --angles"):
        oriented(bump(), 7, "angles-first", "s.npy")


def angles(text: str | None, *, radians: bool = False, stored: np.ndarray | None = None) -> list[str]:
    return read_angles(text, stored, radians=radians, name="s.npy")[1]


def test_angles_in_files_and_ranges(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("0\n45\n90\n")
    degrees, _ = read_angles(str(path), None, radians=False, name="s")
    np.testing.assert_allclose(degrees, [0, math.pi / 4, math.pi / 2])
    turned, _ = read_angles("0:3.14:4", None, radians=True, name="s")
    np.testing.assert_allclose(turned, np.arange(4) * 0.785)
    assert angles("0:180:100") == []


def test_odd_angles_are_pointed_out(tmp_path: Path) -> None:
    assert "if they are radians, add --radians" in angles("0:3.14159:8")[0]
    assert "are they degrees?" in angles("0:180:8", radians=True)[0]
    assert "not in order" in angles(None, stored=np.array([0.0, 20.0, 10.0]))[0]
    assert "1 of 3 angles are repeated" in angles(None, stored=np.array([0.0, 20.0, 360.0]))[0]
    assert angles("180:0:8") == []  # falling angles are in order, too


@pytest.mark.parametrize("text", ["0:180:0", "0:180:2.5", "0:0:4", "a:b:c", "0:nan:4"])
def test_ranges_without_views(text: str) -> None:
    with pytest.raises(InputError, match=r"expected START:STOP:COUNT with COUNT >= 1"):
        angles(text)


def test_no_angles_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no angles; give --angles FILE or --angles START:STOP:COUNT"):
        angles(None)
    with pytest.raises(InputError, match=r"expected at least one angle, got none"):
        angles(None, stored=np.zeros(0))
    with pytest.raises(InputError, match=r"the angles hold NaN or infinity"):
        angles(None, stored=np.array([0.0, np.nan]))


@pytest.mark.parametrize(("stored", "kind"), [(["0", "90"], "<U2"), ([0, 90j], "complex128")])
def test_stored_angles_that_are_no_numbers(stored: list[object], kind: str) -> None:
    with pytest.raises(InputError, match=rf"s.npy \(angles\): expected real numbers, got {kind} of shape"):
        angles(None, stored=np.array(stored))
    assert angles(None, stored=np.array([0, 90], dtype=np.int16)) == []


def test_counts_become_line_integrals(tmp_path: Path) -> None:
    p = bump()
    flat, dark = np.full(11, 1000.0), np.full((3, 11), 20.0)
    counts = (flat - 20) * np.exp(-p) + 20
    for name, values in (("c", counts), ("f", flat), ("d", dark)):
        np.save(tmp_path / f"{name}.npy", values)
    found = read_sinogram(
        tmp_path / "c.npy", "0:180:6", flat=str(tmp_path / "f.npy"), dark=str(tmp_path / "d.npy")
    )
    np.testing.assert_allclose(found.values, p, atol=1e-12)
    assert found.weights is not None
    np.testing.assert_allclose(found.weights, counts - 20)
    plain = read_sinogram(tmp_path / "c.npy", "0:180:6", i0=1000.0)
    np.testing.assert_allclose(plain.values, np.log(1000 / counts), atol=1e-12)


def test_dark_bins_are_guarded(tmp_path: Path) -> None:
    counts = np.full((4, 9), 50.0)
    counts[1, 4] = 0
    np.save(tmp_path / "c.npy", counts)
    found = read_sinogram(tmp_path / "c.npy", "0:180:4", i0=100.0)
    assert np.isfinite(found.values).all()
    assert found.values[1, 4] == pytest.approx(math.log(200))
    assert "1 bins without a photon" in found.notes[0]


@pytest.mark.parametrize("dark", [np.full(9, 20.0), np.tile([[19.0], [21.0]], 9)])
def test_all_bins_that_are_taken_for_half_a_photon_are_counted(tmp_path: Path, dark: np.ndarray) -> None:
    counts = np.full((4, 9), 70.0)
    counts[0, :4] = [0, 19, 20.3, 20.5]  # the last is half a photon
    np.save(tmp_path / "c.npy", counts)
    np.save(tmp_path / "d.npy", dark)
    np.save(tmp_path / "f.npy", np.full(9, 120.0))
    found = read_sinogram(
        tmp_path / "c.npy", "0:180:4", flat=str(tmp_path / "f.npy"), dark=str(tmp_path / "d.npy")
    )
    assert found.notes == ("4 bins without a photon count as half a photon",)
    np.testing.assert_allclose(found.values[0, :5], [*[math.log(200)] * 4, math.log(2)])


@pytest.mark.parametrize("dark", [False, True])
def test_transmissions_are_no_counts(tmp_path: Path, dark: bool) -> None:
    """Below a half they would all be taken for half a photon."""
    path, flat, darker = bad(tmp_path, np.exp(-bump())), str(tmp_path / "f.npy"), str(tmp_path / "d.npy")
    np.save(flat, np.full((2, 11), 1.0))
    np.save(darker, np.zeros(11))
    with pytest.raises(InputError, match=r"f.npy: an open beam of 1 is no number of photons.*save the line"):
        read_sinogram(path, "0:180:6", flat=flat, dark=darker if dark else None)
    with pytest.raises(InputError, match=r"s.npy: an open beam of 1 .* -log\(I / I0\), without --flat"):
        read_sinogram(path, "0:180:6", i0=1.0)


def bad(tmp_path: Path, values: np.ndarray) -> str:
    np.save(tmp_path / "s.npy", values)
    return str(tmp_path / "s.npy")


def test_unusable_values(tmp_path: Path) -> None:
    holes = bump()
    holes[2, 3] = np.nan
    with pytest.raises(InputError, match=r"NaN.*mend those bins first"):
        read_sinogram(bad(tmp_path, holes), "0:180:6")
    with pytest.raises(InputError, match=r"1 counts are negative; is it a sinogram of line integrals\?"):
        values = bump() + 1
        values[0, 0] = -3
        read_sinogram(bad(tmp_path, values), "0:180:6", i0=10.0)
    with pytest.raises(InputError, match="no line integral is above 0"):
        read_sinogram(bad(tmp_path, np.zeros((6, 11))), "0:180:6")
    with pytest.raises(InputError, match=r"expected one slice, \(views, bins\), got shape \(2, 6, 11\)"):
        read_sinogram(bad(tmp_path, np.ones((2, 6, 11))), "0:180:6")


def test_unusable_fields(tmp_path: Path) -> None:
    counts, short = bad(tmp_path, bump() + 1), str(tmp_path / "f.npy")
    np.save(short, np.ones(7))
    with pytest.raises(InputError, match=r"expected 11 bins as in the sinogram, got shape \(7,\)"):
        read_sinogram(counts, "0:180:6", flat=short)
    with pytest.raises(InputError, match="--flat and --i0 both state the open beam"):
        read_sinogram(counts, "0:180:6", flat=short, i0=10.0)
    with pytest.raises(InputError, match="a dark field without an open beam"):
        read_sinogram(counts, "0:180:6", dark=short)
    np.save(short, np.zeros(11))  # not brighter than no dark field
    with pytest.raises(InputError, match="expected open-beam counts above the dark field"):
        read_sinogram(counts, "0:180:6", flat=short)


def test_objects_larger_than_the_view() -> None:
    assert edge_warning(bump()) == []
    assert "larger than the field of view" in edge_warning(bump()[:, 3:])[0]
