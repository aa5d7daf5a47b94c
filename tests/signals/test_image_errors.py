"""What no image can be read from: one line each, with the file, the fault and the remedy."""

import errno
import io
import os
import pathlib
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from lrnn_cli.errors import InputError
from lrnn_cli.signals import image_read, image_source
from lrnn_cli.signals.image import ImageOptions, read_image
from tests import references

FORMATS = "give a PNG, JPEG, WebP, BMP or TIFF file"
DAMAGED = "the file is damaged or incomplete, fetch or export it again"


def photo(height=24, width=40):
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3)).astype(np.uint8))


def encoded(container, image=None, **options):
    stream = io.BytesIO()
    (image or photo()).save(stream, container, **options)
    return stream.getvalue()


def refusal(source="a.png", data=None, **options):
    with pytest.raises(InputError) as caught:
        read_image(source, ImageOptions(**options), data=data)
    text = str(caught.value)
    assert "\n" not in text and text.isprintable()
    return text


# --- files


def test_missing(tmp_path):
    assert refusal(tmp_path / "no.png") == f"{tmp_path}/no.png: no such file; check the path"
    (tmp_path / "link.png").symlink_to("nowhere")
    assert refusal(tmp_path / "link.png").endswith("link.png: no such file; check the path")


def test_directory(tmp_path):
    assert refusal(tmp_path) == f"{tmp_path}: is a directory; name one image file"


def test_empty(tmp_path):
    (tmp_path / "a.png").touch()
    text = f"{tmp_path}/a.png: the file is empty (0 bytes); fetch or export it again"
    assert refusal(tmp_path / "a.png") == text
    assert refusal("-", b"") == "-: the file is empty (0 bytes); fetch or export it again"


def test_unreadable(tmp_path, monkeypatch):
    """By a stand-in for the system call, since the superuser may read everything."""
    (tmp_path / "a.png").write_bytes(encoded("PNG"))

    def denied(self, mode="r"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

    monkeypatch.setattr(pathlib.Path, "open", denied)
    text = f"{tmp_path}/a.png: no permission to read it; change its mode or owner"
    assert refusal(tmp_path / "a.png") == text


def test_devices_are_not_read_forever():
    assert refusal("/dev/zero") == "/dev/zero: is a device or a socket; name an image file"


def test_impossible_names(tmp_path):
    assert refusal("a\0b.png") == "a b.png: cannot be opened (embedded null byte); check the path"
    text = refusal(tmp_path / ("x" * 300))
    assert text.endswith("x: cannot be opened (File name too long); check the path")
    assert refusal(tmp_path / "two\nlines\x1b[31m.png").endswith(
        "two lines [31m.png: no such file; check the path"
    )
    assert refusal(tmp_path / os.fsdecode(b"caf\xe9.png")).endswith(
        "caf\\udce9.png: no such file; check the path"
    )


def test_a_failing_disk(tmp_path, monkeypatch):
    class Failing(io.BytesIO):
        def read(self, size=-1):
            if size == 1:
                return super().read(size)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    monkeypatch.setattr(pathlib.Path, "open", lambda self, mode: Failing(b"x"))
    assert refusal(tmp_path / "a.png") == (
        f"{tmp_path}/a.png: cannot be read to its end (Input/output error); check the disk or copy it anew"
    )


def test_standard_input_is_for_the_caller_to_read():
    assert refusal("-") == "-: standard input was not read; hand over its bytes, or name a file"


# --- foreign content


@pytest.mark.parametrize(
    ("head", "what"),
    [
        (b"GIF89a\1\0\1\0", "GIF"), (b"%PDF-1.7\n", "PDF"), (b"%!PS-Adobe", "PostScript"),
        (b"8BPS\0\1", "Photoshop"), (b"\0\0\0\x0cjP  \r\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0", "JPEG 2000"),
        (b"\xff\x0a\0", "JPEG XL"), (b"\0\0\0\x0cJXL \r\n", "JPEG XL"), (b"v/1\x01\2", "OpenEXR"),
        (b"#?RADIANCE\n", "Radiance HDR"), (b"\0\0\1\0\1", "ICO"), (b"SIMPLE  =  T", "FITS"),
        (b"\x93NUMPY\1\0", "NumPy"), (b"\x89HDF\r\n", "HDF5"), (b"PK\x03\x04\0", "ZIP"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"fLaC\0", "FLAC audio"), (b"OggS\0", "Ogg audio"), (b"ID3\4\0", "MP3 audio"),
        (b"RIFF\0\0\0\0WAVEfmt ", "WAV audio"), (b"\0\0\0\x1cftypavif", "AVIF"),
        (b"\0\0\0\x1cftypheic", "HEIC"), (b"\0\0\0\x1cftypmif1", "HEIF"), (b"\0\0\0\x1cftypisom", "MP4"),
        (bytes(128) + b"DICM", "DICOM"), (b"II*\0" + bytes(124) + b"DICM", "DICOM"),
        (b"<svg xmlns=", "SVG and other XML"), (b"\n<?xml version=", "SVG and other XML"),
        (b"P5\n3 4\n255\n", "PNM"),
    ],
)  # fmt: skip
def test_foreign_formats_are_named(head, what):
    assert refusal("a.png", head) == f"a.png: {what} files are not supported as images; {FORMATS}"


def test_real_gif_and_pdf():
    assert "GIF files are not supported" in refusal(data=encoded("GIF"))
    assert "PDF files are not supported" in refusal(data=encoded("PDF"))


@pytest.mark.parametrize(
    "text",
    [
        b"a,b\r\n1,2\n",
        "Größe: 3 µm".encode(),
        b"BMP is a format",
        "\ufeffBOM".encode(),
        b"x" * 511 + "é".encode(),
    ],
)
def test_text_with_the_name_of_an_image(text):
    assert refusal(data=text) == f"a.png: holds text, not an image; {FORMATS}"


@pytest.mark.parametrize(
    "noise", [b"\0", b"\x89PNG", b"RIFF\0\0\0\0WEBQ", b"BM\0\0\0\0", b"caf\xe9 au lait", b"\xff\xd8"]
)
def test_noise(noise):
    assert refusal(data=noise) == f"a.png: not an image of a known format; {FORMATS}"


# --- damaged content

CONTAINERS = {
    "PNG": {},
    "JPEG": {"quality": 95},
    "WebP": {"lossless": True},
    "BMP": {},
    "TIFF": {},
}


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("container", CONTAINERS)
def test_truncated(container, part):
    data = encoded(container.upper(), **CONTAINERS[container])
    text = refusal("dir/a.img", data[: int(part * len(data))])
    assert text.startswith(f"dir/a.img: cannot be decoded as {container} (") and text.endswith(
        f"); {DAMAGED}"
    )


@pytest.mark.parametrize("container", CONTAINERS)
def test_truncated_at_random_or_flipped_it_is_an_image_or_one_line(container):
    """No other exception, no warning, nothing printed; a cut file is never taken for a whole one."""
    data = encoded(container.upper(), **CONTAINERS[container])
    whole = read_image("a", data=data).values
    rng = np.random.default_rng(1)
    n_refused = 0
    for trial in range(60):
        if trial % 2:
            bad = data[: rng.integers(1, len(data))]
        else:
            flipped = np.frombuffer(data, np.uint8).copy()
            flipped[rng.integers(0, min(len(data), 300), 3)] ^= rng.integers(1, 256, 3).astype(np.uint8)
            bad = flipped.tobytes()
        try:
            signal = read_image("a", ImageOptions(max_pixels=10**6), data=bad)
        except InputError as error:
            n_refused += 1
            assert str(error).startswith("a: ") and "\n" not in str(error)
        else:
            assert np.isfinite(signal.values).all()
            assert not trial % 2 or np.array_equal(signal.values, whole)
    assert n_refused > 30


def test_the_reason_is_given_even_if_the_decoder_has_none(monkeypatch):
    def silent(stream):
        raise KeyError

    monkeypatch.setitem(image_read._OPENERS, "JPEG", silent)
    assert refusal(data=encoded("JPEG")) == f"a.png: cannot be decoded as JPEG (KeyError); {DAMAGED}"


def test_lack_of_memory_is_not_called_damage(monkeypatch):
    def greedy(stream):
        raise MemoryError

    monkeypatch.setitem(image_read._OPENERS, "JPEG", greedy)
    with pytest.raises(MemoryError):
        read_image("a.jpg", data=encoded("JPEG"))


# --- size


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_no_pixels(size):
    width, height = size
    text = f"a.png: has no pixels ({width}x{height}); fetch or export it again"
    png = references.png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    assert refusal(data=encoded("PNG")[:8] + png + encoded("PNG")[33:]) == text
    bmp = encoded("BMP")
    assert refusal(data=bmp[:18] + struct.pack("<ii", width, height) + bmp[26:]) == text
    core = bmp[:14] + struct.pack("<IHHHH", 12, width, height, 1, 24) + bytes(8)
    assert refusal(data=core) == text
    assert refusal(data=bmp[:18] + struct.pack("<ii", -5, 4) + bmp[26:]).startswith(
        "a.png: has no pixels (-5x4);"
    )


@pytest.mark.parametrize(
    ("container", "options"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("WebP", {}),
        ("WebP", {"lossless": True}),
        ("WebP", {"exif": b"Exif\0\0II*\0"}),
    ],
)
def test_too_many_pixels(container, options):
    data = encoded(container.upper(), **options)
    assert refusal(data=data, max_pixels=959) == (
        "a.png: 40x24 = 960 pixels are more than max_pixels=959; "
        "raise image.max_pixels in --config if you trust the file, or shrink it first"
    )
    assert read_image("a.png", ImageOptions(max_pixels=960), data=data).shape == (24, 40)


@pytest.mark.parametrize("side", [2**16, 2**31 - 1])
def test_bombs_are_not_unpacked(side):
    """A few hundred bytes that promise gigabytes."""
    header = references.png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    body = references.png_chunk(b"IDAT", zlib.compress(bytes(10**5)))
    png = b"\x89PNG\r\n\x1a\n" + header + body + references.png_chunk(b"IEND", b"")
    assert f"{side}x{side} = {side * side} pixels are more than max_pixels=268435456" in refusal(data=png)
    bmp = encoded("BMP")
    assert "pixels are more than max_pixels" in refusal(
        data=bmp[:18] + struct.pack("<ii", side, -side) + bmp[26:]
    )


def test_the_limit_of_the_caller_holds_not_that_of_pillow(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for container in ("PNG", "JPEG", "BMP"):
        assert read_image("a.png", data=encoded(container)).shape == (24, 40)


def test_pillows_own_bomb_error_is_one_line_too(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    text = refusal(data=encoded("WebP"))
    assert text.startswith(
        "a.png: too large for the WebP decoder (Image size (960 pixels) exceeds limit of 20 pixels"
    )
    assert text.endswith("; shrink it")


# --- options that do not fit the image


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 41, 24),
        (0, 0, 40, 25),
        (-1, 0, 5, 5),
        (0, -1, 5, 5),
        (5, 5, 5, 9),
        (9, 5, 5, 9),
        (5, 9, 9, 5),
        (40, 0, 41, 5),
    ],
)
def test_crop_outside_the_image(box):
    text = refusal(data=encoded("PNG"), crop=box)
    assert text == (
        f"a.png: crop {box[0]},{box[1]},{box[2]},{box[3]} does not lie inside the image of 40x24 pixels; "
        "give x0,y0,x1,y1 with 0 <= x0 < x1 <= 40 and 0 <= y0 < y1 <= 24"
    )


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-3, 5)])
def test_resize_to_nothing(size):
    text = f"a.png: cannot resize to {size[0]}x{size[1]}; give a width and a height of at least 1"
    assert refusal(data=encoded("PNG"), resize=size) == text


def test_resize_to_too_much():
    text = refusal(data=encoded("PNG"), resize=(1000, 1001), max_pixels=10**6)
    assert text.startswith("a.png (resized): 1000x1001 = 1001000 pixels are more than max_pixels=1000000")


def test_a_lone_channel_declared_extra_is_not_dropped():
    stream = io.BytesIO()
    tifffile.imwrite(
        stream,
        np.zeros((3, 4), np.uint8),
        photometric="minisblack",
        extratags=[(338, 3, 1, 2, True)],  # ExtraSamples: unassociated alpha
        metadata=None,
    )
    signal = read_image("a.tif", ImageOptions(alpha="drop"), data=stream.getvalue())
    assert signal.format["channels"] == ["L"]


def test_names_are_made_fit_for_a_line():
    assert image_source.one_line("a\nb\t\x07c") == "a b c"
    assert image_source.one_line("") == "(no name)"
    assert image_source.one_line("x" * 300) == "x" * 199 + "…"
