"""Reading images: every container and kind of pixel, orientation, and what is said about it."""

import hashlib
import io
import json
import logging
import os
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from lrnn_cli.signals.image import ImageOptions, read_image
from tests import references

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
NAMES = {"L": ["L"], "LA": ["L", "A"], "RGB": ["R", "G", "B"], "RGBA": ["R", "G", "B", "A"]}
TURNS = {1: "as stored", **{k: f"turned upright by its orientation tag ({k})" for k in range(2, 9)}}


def photo(height=13, width=9, mode="RGB", seed=0):
    """A small image with a different value in every pixel and channel."""
    rng = np.random.default_rng(seed)
    values = rng.permuted(np.arange(height * width * 4) % 256).reshape(height, width, 4).astype(np.uint8)
    return Image.fromarray(values).convert(mode)


def encoded(image, container, **options):
    stream = io.BytesIO()
    image.save(stream, container, **options)
    return stream.getvalue()


def array(image):
    values = np.asarray(image)
    return values[..., None] if values.ndim == 2 else values


# --- containers and kinds of pixels


@pytest.mark.parametrize("name", ["camera256", "camera512", "astronaut256", "astronaut512", "chelsea256"])
def test_photographs(name):
    path = SAMPLES / f"{name}.png"
    signal = read_image(path)
    with Image.open(path) as image:
        expected = array(image)
    np.testing.assert_array_equal(signal.values, (expected / 255).astype(np.float32))
    assert signal.values.dtype == np.float32 and signal.values.flags.c_contiguous
    assert (signal.kind, signal.peak, signal.name, signal.path) == ("image", 1.0, name, str(path))
    assert signal.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert signal.format == {"container": "PNG", "dtype": "uint8", "channels": NAMES[image.mode]}
    assert signal.notes == ()  # their profile is sRGB, which is what no profile means


@pytest.mark.parametrize("name", ["shepp_logan256_u16", "ct_small128_u16"])
def test_16_bit_samples_keep_their_depth(name):
    signal = read_image(SAMPLES / f"{name}.png")
    with Image.open(SAMPLES / f"{name}.png") as image:
        expected = array(image)
    assert signal.format == {"container": "PNG", "dtype": "uint16", "channels": ["L"]}
    assert len(np.unique(expected % 256)) > 3  # the low byte says something
    np.testing.assert_array_equal(np.rint(signal.values.astype(float) * 65535), expected)


@pytest.mark.parametrize(
    ("container", "mode", "options"),
    [
        ("PNG", "L", {}), ("PNG", "LA", {}), ("PNG", "RGB", {}), ("PNG", "RGBA", {}),
        ("BMP", "L", {}), ("BMP", "RGB", {}),
        ("WebP", "RGB", {"lossless": True}), ("WebP", "RGBA", {"lossless": True, "exact": True}),
        ("TIFF", "L", {}), ("TIFF", "LA", {}), ("TIFF", "RGB", {}), ("TIFF", "RGBA", {}),
    ],
)  # fmt: skip
def test_lossless_files_to_the_last_bit(container, mode, options):
    image = photo(mode=mode)
    signal = read_image("x", data=encoded(image, container.upper(), **options))
    np.testing.assert_array_equal(signal.values, (array(image) / 255).astype(np.float32))
    assert signal.format == {"container": container, "dtype": "uint8", "channels": NAMES[mode]}
    assert signal.notes == (
        ("alpha is fitted as a channel; --alpha drop leaves it out",) if "A" in mode else ()
    )
    assert json.loads(json.dumps(signal.format)) == signal.format


@pytest.mark.parametrize(("container", "mode"), [("JPEG", "L"), ("JPEG", "RGB"), ("WebP", "RGB")])
def test_lossy_files_as_pillow_decodes_them(container, mode):
    data = encoded(photo(40, 56, mode), container.upper())
    with Image.open(io.BytesIO(data)) as image:
        expected = array(image)
    signal = read_image("x", data=data)
    np.testing.assert_array_equal(signal.values, (expected / 255).astype(np.float32))
    assert signal.format == {"container": container, "dtype": "uint8", "channels": NAMES[mode]}
    assert signal.notes == ()


@pytest.mark.parametrize("transparent", [False, True])
@pytest.mark.parametrize("container", ["PNG", "BMP"])
def test_palettes_are_converted_and_said(container, transparent):
    if container == "BMP" and transparent:
        container, options = "PNG", {"transparency": bytes(range(256))}  # one alpha value per entry
    else:
        options = {"transparency": 3} if transparent else {}
    image = photo().quantize(17)
    signal = read_image("x", data=encoded(image, container, **options))
    with Image.open(io.BytesIO(encoded(image, container, **options))) as stored:
        assert stored.mode == "P"
        expected = array(stored.convert("RGBA" if transparent else "RGB"))
    np.testing.assert_array_equal(signal.values, (expected / 255).astype(np.float32))
    assert signal.format["channels"] == NAMES["RGBA" if transparent else "RGB"]
    assert signal.notes[0] == f"palette converted to {'RGBA' if transparent else 'RGB'}"


def test_cmyk_is_converted_and_said():
    data = encoded(photo(40, 56).convert("CMYK"), "JPEG", quality=95)
    signal = read_image("x", data=data)
    with Image.open(io.BytesIO(data)) as image:
        assert image.mode == "CMYK"
        expected = array(image.convert("RGB"))
    np.testing.assert_array_equal(signal.values, (expected / 255).astype(np.float32))
    assert signal.notes == ("CMYK converted to RGB without a colour profile",)


@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize("keyed", [False, True])
def test_grey_of_few_bits(depth, keyed):
    """The transparent value is stored unscaled; it must be found again after scaling to 8 bits."""
    top = 2**depth - 1
    samples = np.random.default_rng(0).integers(0, top + 1, (7, 11, 1))
    chunks = [(b"tRNS", bytes([0, 1]))] if keyed else []
    signal = read_image("x", data=references.png_bytes(samples, depth, 0, (2, 1), chunks=chunks))
    np.testing.assert_array_equal(signal.values[..., :1], (samples / top).astype(np.float32))
    assert signal.format == {"container": "PNG", "dtype": "uint8", "channels": ["L", "A"] if keyed else ["L"]}
    assert f"{depth}-bit samples converted to 8 bits" in signal.notes
    if keyed:
        np.testing.assert_array_equal(signal.values[..., 1:], samples != 1)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_transparent_colour_becomes_alpha(mode):
    image = photo(mode=mode)
    samples = array(image)
    key = samples[4, 5].tolist()
    data = encoded(image, "PNG", transparency=key[0] if mode == "L" else tuple(key))
    signal = read_image("x", data=data)
    np.testing.assert_array_equal(signal.values[..., :-1], (samples / 255).astype(np.float32))
    np.testing.assert_array_equal(signal.values[..., -1], (samples != key).any(axis=2))
    assert signal.notes[0] == "its transparent colour converted to an alpha channel"


# --- orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", ["PNG", "JPEG", "WebP", "TIFF"])
def test_images_stand_upright(container, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = photo(24, 40)
    options = {"exif": exif} if container != "TIFF" else {"tiffinfo": {274: orientation}}
    data = encoded(image, container.upper(), **options)
    with Image.open(io.BytesIO(data)) as stored:
        expected = array(stored if container == "TIFF" else ImageOps.exif_transpose(stored))
    signal = read_image("x", data=data)
    assert signal.shape == ((24, 40) if orientation < 5 else (40, 24))
    np.testing.assert_array_equal(signal.values, (expected / 255).astype(np.float32))
    assert signal.notes == (() if orientation == 1 else (TURNS[orientation],))
    assert signal.values.flags.c_contiguous


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_orientations_that_do_not_exist_change_nothing(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    signal = read_image("x", data=encoded(photo(), "PNG", exif=exif))
    np.testing.assert_array_equal(signal.values, (array(photo()) / 255).astype(np.float32))
    assert signal.notes == ()


def test_crop_and_resize_count_in_upright_pixels():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo(24, 40), "PNG", exif=exif)
    upright = read_image("x", data=data).values
    signal = read_image("x", ImageOptions(crop=(3, 5, 20, 39)), data=data)
    np.testing.assert_array_equal(signal.values, upright[5:39, 3:20])


# --- several images in a file, side data


@pytest.mark.parametrize("container", ["PNG", "WebP", "TIFF", "MPO"])
def test_the_first_of_several_is_read_and_said(container):
    pages = [photo(seed=k) for k in range(3)]
    options = {"WebP": {"lossless": True}, "MPO": {"quality": 95}}.get(container, {})
    data = encoded(pages[0], container.upper(), save_all=True, append_images=pages[1:], **options)
    signal = read_image("x", data=data)
    if container == "MPO":
        with Image.open(io.BytesIO(data)) as first:
            expected = array(first)
    else:
        expected = array(pages[0])
    np.testing.assert_array_equal(signal.values, (expected / 255).astype(np.float32))
    assert signal.notes == (
        f"holds 3 {'pages' if container == 'TIFF' else 'frames'}; only the first is read",
    )
    assert signal.format["container"] == {"MPO": "JPEG"}.get(container, container)


@pytest.mark.parametrize(("profile", "noted"), [("sRGB", False), ("LAB", True)])
@pytest.mark.parametrize("container", ["PNG", "JPEG", "WebP", "TIFF"])
def test_colour_profiles_are_said_unless_they_change_nothing(container, profile, noted):
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile(profile)).tobytes()
    signal = read_image("x", data=encoded(photo(), container.upper(), icc_profile=icc))
    assert ("its ICC colour profile is neither applied nor kept" in signal.notes) == noted


def test_damaged_exif_neither_stops_nor_warns():
    good = encoded(photo(), "JPEG")
    for block in (
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01\3\0",
        b"Exif\0\0MM\0*\xff\xff\xff\xff",
    ):
        segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
        signal = read_image("x", data=good[:2] + segment + good[2:])
        np.testing.assert_array_equal(signal.values, read_image("x", data=good).values)
        assert not any("turned" in note for note in signal.notes)


def test_remarks_of_a_decoder_become_a_note_and_leave_no_trace(capfd):
    data = encoded(photo(), "PNG")
    broken = references.png_chunk(b"acTL", bytes(8))  # an animation of no frames: Pillow warns
    log, filters = logging.getLogger("tifffile"), list(warnings.filters)
    state = (list(log.handlers), log.propagate)
    signal = read_image("x", data=data[:33] + broken + data[33:])
    assert signal.notes == ("the PNG reader remarks: Invalid APNG, will use default PNG image if possible",)
    assert (list(log.handlers), log.propagate) == state and list(warnings.filters) == filters
    assert capfd.readouterr() == ("", "")


# --- where the bytes come from


def test_bytes_from_standard_input():
    data = encoded(photo(), "BMP")
    signal = read_image("-", data=data)
    assert (signal.name, signal.path, signal.sha256) == ("stdin", "-", hashlib.sha256(data).hexdigest())
    assert signal.format["container"] == "BMP"


def test_the_content_tells_the_container_not_the_name(tmp_path):
    for container in ("JPEG", "WebP", "TIFF", "BMP"):
        path = tmp_path / "picture.old.png"
        path.write_bytes(encoded(photo(), container.upper()))
        signal = read_image(path)
        assert signal.format["container"] == container
        assert signal.name == "picture.old"
    path = tmp_path / "no suffix"
    path.write_bytes(encoded(photo(), "PNG"))
    assert read_image(str(path)).name == "no suffix"


def test_a_named_pipe_is_read_to_its_end(tmp_path):
    pipe = tmp_path / "pipe.tif"
    os.mkfifo(pipe)
    data = encoded(photo(), "TIFF")
    writer = threading.Thread(target=pipe.write_bytes, args=(data,))
    writer.start()
    signal = read_image(pipe)
    writer.join(10)
    np.testing.assert_array_equal(signal.values, (array(photo()) / 255).astype(np.float32))
    assert signal.sha256 == hashlib.sha256(data).hexdigest()


def test_threads_do_not_disturb_each_other():
    data = {mode: encoded(photo(60, 50, mode), "PNG") for mode in NAMES}
    results = {}

    def work(mode):
        for _ in range(5):
            results[mode] = read_image("x", data=data[mode]).values.shape

    threads = [threading.Thread(target=work, args=(mode,)) for mode in NAMES]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {mode: (60, 50, len(names)) for mode, names in NAMES.items()}
