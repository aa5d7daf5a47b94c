"""Plain array files, good and bad."""

from pathlib import Path

import numpy as np
import pytest

from lrnn_cli.errors import InputError
from lrnn_cli.signals.arrays import read_array


def test_csv_with_semicolons_and_blanks(tmp_path: Path) -> None:
    for k, text in enumerate(("1;2\n3;4\n", "1,2\n3,4\n", "1 2\n3 4\n")):
        path = tmp_path / f"{k}.csv"
        path.write_text(text)
        np.testing.assert_array_equal(read_array(path).values, [[1, 2], [3, 4]])


def test_commas_beside_semicolons_stand_within_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for text in ("1,5;2,25\n3;4,0\n", "# angle; p, no unit\n1,5;2,25\n3;4,0  # last; row\n"):
        path.write_text(text)
        np.testing.assert_array_equal(read_array(path).values, [[1.5, 2.25], [3, 4]])
    path.write_text("# angle; p\n1,5\n3,4\n")  # the comment's semicolon separates nothing
    np.testing.assert_array_equal(read_array(path).values, [[1, 5], [3, 4]])
    path.write_text("1,234.5;2\n")
    with pytest.raises(InputError, match="not a readable CSV file"):
        read_array(path)


def test_bytes_instead_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, np.arange(3, dtype=np.int16))
    found = read_array("-.npy", path.read_bytes())
    np.testing.assert_array_equal(found.values, [0, 1, 2])
    assert found.dtype == "int16"


def test_arrays_of_an_npz_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    np.savez(path, one=np.ones(2))
    np.testing.assert_array_equal(read_array(path).values, [1, 1])
    np.savez(path, one=np.ones(2), two=np.ones(3))
    with pytest.raises(InputError, match="expected an array named 'sinogram', got one, two"):
        read_array(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", b"not numpy at all", "not a readable NPY file"),
        ("a.npz", b"PK\x03\x04 cut", "not a readable NPZ file"),
        ("a.tif", b"II*\0", "not a readable TIF file"),
        ("a.csv", b"angle\nnorth\n", "not a readable CSV file"),
        ("a.csv", b"\xff\xfe\x00", "not a readable CSV file"),
        ("a.h5", b"\x89HDF", "expected an array file"),
        ("a.csv", b"# only a comment\n", "expected real numbers"),
        ("a.npy", b"", "the file is empty"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_array(path)


def test_complex_numbers_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(3, dtype=complex))
    with pytest.raises(InputError, match=r"expected real numbers, got complex128 of shape \(3,\)"):
        read_array(tmp_path / "a.npy")
