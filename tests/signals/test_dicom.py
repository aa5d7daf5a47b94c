"""DICOM slices: Hounsfield units, padding, odd pixels, and files that are no slices."""

import builtins
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, JPEG2000Lossless, generate_uid

from lrnn_cli.errors import InputError
from lrnn_cli.signals.dicom import is_dicom, read_dicom

SAMPLE = Path(__file__).parents[2] / "sample_data" / "CT_small.dcm"


def slice_file(path: Path, stored: np.ndarray, change: Callable[[Any], None] = lambda d: None) -> Path:
    """Write a small CT slice of int16 values."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["lrnn"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset(str(path), {}, file_meta=meta, preamble=bytes(128))
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    dataset.Modality = "CT"
    dataset.Rows, dataset.Columns = stored.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    dataset.RescaleSlope, dataset.RescaleIntercept = "2", "-1024"
    dataset.PixelSpacing = ["0.5", "0.5"]
    dataset.PixelData = stored.astype("<i2").tobytes()
    change(dataset)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ramp(h: int = 8, w: int = 12) -> np.ndarray:
    return np.arange(h * w).reshape(h, w) * 5


def test_stored_values_become_hounsfield_units(tmp_path: Path) -> None:
    found = read_dicom(slice_file(tmp_path / "a.dcm", ramp()))
    np.testing.assert_allclose(found.hu, np.maximum(2.0 * ramp() - 1024, -1000))
    assert found.pixel_mm == 0.5
    assert "pixels of padding or below -1000 HU are set to air" in found.notes[0]


def test_the_sample_agrees_with_the_library() -> None:
    found, dataset = read_dicom(SAMPLE), pydicom.dcmread(SAMPLE)
    hu = dataset.pixel_array * float(dataset.RescaleSlope) + float(dataset.RescaleIntercept)
    np.testing.assert_allclose(found.hu, np.maximum(hu, -1000))
    assert found.pixel_mm == pytest.approx(0.661468)


def test_pixels_that_are_not_square_are_resampled(tmp_path: Path) -> None:
    stored = np.repeat(np.arange(8)[:, None] * 100 + 600, 12, axis=1)
    path = slice_file(tmp_path / "a.dcm", stored, lambda d: setattr(d, "PixelSpacing", ["1.0", "0.5"]))
    found = read_dicom(path)
    assert found.hu.shape == (16, 12) and found.pixel_mm == 0.5
    inner = found.hu[1:-1, 0]  # linear in between, so a ramp stays one
    np.testing.assert_allclose(np.diff(inner), np.full(13, 100.0))
    assert "resampled to squares of 0.5 mm: 12x8 became 12x16" in found.notes[-1]


def test_what_the_file_does_not_say_is_said(tmp_path: Path) -> None:
    def forget(dataset: Any) -> None:
        del dataset.PixelSpacing, dataset.RescaleIntercept

    found = read_dicom(slice_file(tmp_path / "a.dcm", ramp(), forget))
    assert "taken as Hounsfield units" in found.notes[0] and "1 mm is assumed" in found.notes[1]


@pytest.mark.parametrize(("limit", "padded"), [(None, 4), (300, 4 * 3)])
def test_padding_is_air_whatever_its_value(tmp_path: Path, limit: int | None, padded: int) -> None:
    stored = np.full((8, 12), 600)
    stored[:4, 0], stored[:4, 1], stored[:4, 2] = 2000, 1000, 300

    def tell(dataset: Any) -> None:
        dataset.add_new("PixelPaddingValue", "SS", 2000)
        if limit is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS", limit)
            dataset.PixelData = np.where(stored == 600, 200, stored).astype("<i2").tobytes()

    found = read_dicom(slice_file(tmp_path / "a.dcm", stored, tell))
    assert int((found.hu == -1000).sum()) == padded
    assert f"{padded} pixels of padding or below -1000 HU" in found.notes[0]


def test_values_that_may_be_no_hounsfield_units_are_pointed_out(tmp_path: Path) -> None:
    def magnetic(dataset: Any) -> None:
        dataset.Modality = "MR"

    def density(dataset: Any) -> None:
        dataset.RescaleType = "MGML"

    for change, words in ((magnetic, "modality MR, not CT"), (density, "rescale type MGML")):
        found = read_dicom(slice_file(tmp_path / "a.dcm", ramp() + 300, change))
        assert words in found.notes[0]
    assert not read_dicom(slice_file(tmp_path / "a.dcm", ramp() + 300)).notes


def with_frames(dataset: Any) -> None:
    dataset.NumberOfFrames = 2


def without_pixels(dataset: Any) -> None:
    del dataset.PixelData


def compressed(dataset: Any) -> None:
    from pydicom.encaps import encapsulate

    dataset.file_meta.TransferSyntaxUID = JPEG2000Lossless
    dataset.PixelData = encapsulate([b"\xff\x4f not a picture"])
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def no_rows(dataset: Any) -> None:
    dataset.Rows = 0


def cut(dataset: Any) -> None:
    dataset.PixelData = dataset.PixelData[:50]


def negative_spacing(dataset: Any) -> None:
    dataset.PixelSpacing = ["0.5", "0"]


def one_spacing(dataset: Any) -> None:
    dataset.PixelSpacing = "0.5"


def oblong(dataset: Any) -> None:
    dataset.PixelSpacing = ["0.5", "50"]


def flat(dataset: Any) -> None:
    dataset.RescaleSlope = "0"


def lookup(dataset: Any) -> None:
    del dataset.RescaleIntercept
    dataset.ModalityLUTSequence = []


def only_air(dataset: Any) -> None:
    dataset.RescaleIntercept = "-9000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (with_frames, "expected one slice of grey pixels, got 2 frames"),
        (without_pixels, "the DICOM file holds no pixels"),
        (compressed, r"no decoder for its compression \(JPEG 2000"),
        (no_rows, "has no rows or columns"),
        (cut, "the pixels cannot be decoded"),
        (negative_spacing, "expected a positive pixel spacing, got 0.5 x 0 mm"),
        (one_spacing, "expected a pixel spacing of 2 numbers, got 1"),
        (oblong, "pixels of 50 x 0.5 mm are too oblong"),
        (flat, "the rescale slope is 0"),
        (lookup, r"lookup table \(Modality LUT\), which is not read"),
        (only_air, "the slice holds nothing but air"),
    ],
)
def test_files_that_are_no_slice(tmp_path: Path, change: Callable[[Any], None], message: str) -> None:
    path = slice_file(tmp_path / "a.dcm", ramp(), change)
    with pytest.raises(InputError, match=message) as caught:
        read_dicom(path)
    assert "\n" not in str(caught.value)


def test_a_header_without_numbers(tmp_path: Path) -> None:
    content = slice_file(tmp_path / "a.dcm", ramp()).read_bytes()
    assert content.count(b"0.5\\0.5 ") == 1
    for text, words in ((b"half\\0.5", "holds no number"), (b"inf\\0.5 ", "holds no finite number")):
        (tmp_path / "b.dcm").write_bytes(content.replace(b"0.5\\0.5 ", text))
        with pytest.raises(InputError, match=f"b.dcm: PixelSpacing {words}"):
            read_dicom(tmp_path / "b.dcm")


def test_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "a.dcm"
    path.write_bytes(b"")
    with pytest.raises(InputError, match="the file is empty"):
        read_dicom(path)
    path.write_bytes(b"plain text, and more of it " * 20)
    with pytest.raises(InputError, match="not a DICOM file"):
        read_dicom(path)
    whole = slice_file(tmp_path / "b.dcm", ramp()).read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(InputError, match=r"damaged|no pixels"):
        read_dicom(path)


def test_a_dicom_file_is_known_by_its_content(tmp_path: Path) -> None:
    path = slice_file(tmp_path / "a.dcm", ramp())
    nameless = tmp_path / "IM0001"
    nameless.write_bytes(path.read_bytes())
    assert is_dicom(nameless) and is_dicom(path) and is_dicom("-", path.read_bytes())
    assert not is_dicom(tmp_path / "missing.png")
    np.testing.assert_array_equal(read_dicom("-", path.read_bytes()).hu, read_dicom(path).hu)


def test_without_the_library_there_is_a_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *args: Any, **more: Any) -> Any:
        if name.split(".")[0] == "pydicom":
            raise ModuleNotFoundError("No module named 'pydicom'", name="pydicom")
        return real(name, *args, **more)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(InputError, match=r"pip install 'lrnn\[medical\]'"):
        read_dicom("a.dcm", io.BytesIO(b"x").getvalue())
