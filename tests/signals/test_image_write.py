"""Writing images: rounding, what each container can hold, and the way back."""

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lrnn_cli.errors import ConfigError
from lrnn_cli.signals.image import (
    container_for_suffix,
    default_container,
    encode_image,
    output_suffix,
    quantise,
    read_image,
)

NAMES = {1: ["L"], 2: ["L", "A"], 3: ["R", "G", "B"], 4: ["R", "G", "B", "A"]}
LOSSLESS = [
    ("PNG", "uint8", (1, 2, 3, 4)),
    ("PNG", "uint16", (1, 2, 3, 4)),
    ("WebP", "uint8", (3, 4)),
    ("BMP", "uint8", (1, 3)),
    ("TIFF", "uint8", (1, 2, 3, 4, 6)),
    ("TIFF", "uint16", (1, 2, 3, 4, 6)),
    ("TIFF", "float32", (1, 2, 3, 4, 6)),
]


def values(shape, dtype, seed=0):
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return (rng.random(shape) * 9 - 4).astype(np.float32)
    top = np.iinfo(dtype).max
    return (rng.integers(0, top + 1, shape) / top).astype(np.float32)


# --- rounding


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_every_level_comes_back(dtype):
    levels = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    stored = (levels / np.iinfo(dtype).max).astype(np.float32)
    result = quantise(stored, dtype)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, levels)
    np.testing.assert_array_equal(quantise(np.nextafter(stored, np.float32(2)), dtype), levels)
    np.testing.assert_array_equal(quantise(np.nextafter(stored, np.float32(-2)), dtype), levels)


def test_rounding_by_hand():
    given_values = np.array(
        [-1.0, -0.001, 0.0, 0.5 / 255, 1.5 / 255, 2.5 / 255, 0.4999 / 255, 1.0, 1.001, 7.0]
    )
    assert quantise(given_values, "uint8").tolist() == [0, 0, 0, 0, 2, 2, 0, 255, 255, 255]
    assert quantise(np.float32([[0.5]]), "uint16").tolist() == [[32768]]  # 32767.5, half to even


@settings(database=None)
@given(st.lists(st.floats(-2, 3), min_size=1, max_size=30), st.sampled_from(["uint8", "uint16"]))
def test_rounding_errs_by_half_a_step_at_most(numbers, dtype):
    top = np.iinfo(dtype).max
    back = quantise(np.array(numbers), dtype) / top
    assert np.abs(back - np.clip(numbers, 0, 1)).max() <= 0.5 / top + 1e-12


def test_floats_stay_as_they_are():
    numbers = np.array([[-3.0, np.pi, 1e20]], dtype=np.float32)
    assert quantise(numbers, "float32") is numbers
    assert quantise(numbers.astype(np.float64), "float32").dtype == np.float32


def test_large_and_strided_arrays():
    big = np.linspace(0, 1, 3 * 2**20).reshape(1024, 1024, 3)
    np.testing.assert_array_equal(quantise(big[::2, ::-1], "uint8"), np.rint(big[::2, ::-1] * 255))


def test_what_cannot_be_rounded():
    with pytest.raises(
        ValueError, match=r"^values: expected finite values, got 1 NaN and 1 infinite among 3 values$"
    ):
        quantise(np.array([np.nan, np.inf, 0]), "uint8")
    with pytest.raises(ConfigError, match=r"^dtype: expected uint8, uint16 or float32, got int16$"):
        quantise(np.zeros(3), "int16")


# --- there and back


@pytest.mark.parametrize("shape", [(9, 13), (1, 40), (40, 1), (1, 1), (70, 33)])
@pytest.mark.parametrize(
    ("container", "dtype", "n_channels"), [(c, d, n) for c, d, counts in LOSSLESS for n in counts]
)
def test_lossless_containers_bring_back_every_bit(container, dtype, n_channels, shape):
    image = values((*shape, n_channels), dtype)
    data = encode_image(image, container=container, dtype=dtype)
    signal = read_image("-", data=data)
    np.testing.assert_array_equal(signal.values, image)
    names = NAMES.get(n_channels, ["L", "X1", "X2", "X3", "X4", "X5"])
    assert signal.format == {"container": container, "dtype": dtype, "channels": names}
    assert data == encode_image(image, container=container, dtype=dtype)  # equal values, equal bytes


@pytest.mark.parametrize("n_channels", [1, 2])
def test_webp_has_no_grey(n_channels):
    image = values((9, 13, n_channels), "uint8")
    back = read_image("-", data=encode_image(image, container="WebP", dtype="uint8")).values
    np.testing.assert_array_equal(back[..., 0], image[..., 0])
    np.testing.assert_array_equal(back[..., 1], back[..., 2])
    if n_channels == 2:
        np.testing.assert_array_equal(back[..., 3], image[..., 1])


def test_webp_keeps_colours_under_full_transparency():
    image = values((9, 13, 4), "uint8")
    image[..., 3] = 0
    back = read_image("-", data=encode_image(image, container="WebP", dtype="uint8")).values
    np.testing.assert_array_equal(back, image)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_jpeg_is_good_and_not_subsampled(n_channels):
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    image = np.stack([np.add.outer(ramp, ramp) / 2] * n_channels, axis=-1)
    data = encode_image(image, container="JPEG", dtype="uint8")
    assert np.abs(read_image("-", data=data).values - image).max() < 0.02
    with Image.open(io.BytesIO(data)) as jpeg:
        assert jpeg.mode == ("L" if n_channels == 1 else "RGB")
        if n_channels == 3:
            assert {tuple(component[1:3]) for component in jpeg.layer} == {(1, 1)}


def test_our_tiff_names_no_program_and_no_date():
    with tifffile.TiffFile(
        io.BytesIO(encode_image(values((3, 4, 1), "uint8"), container="TIFF", dtype="uint8"))
    ) as file:
        names = {tag.name for tag in file.pages[0].tags}
    assert "Compression" in names and not names & {"Software", "DateTime", "ImageDescription"}


def test_others_can_read_our_tiff():
    image = values((9, 13, 3), "uint8")
    with Image.open(io.BytesIO(encode_image(image, container="TIFF", dtype="uint8"))) as seen:
        np.testing.assert_array_equal(np.asarray(seen), np.rint(image * 255))
    image = values((9, 13, 1), "float32")
    with Image.open(io.BytesIO(encode_image(image, container="TIFF", dtype="float32"))) as seen:
        np.testing.assert_array_equal(np.asarray(seen), image[..., 0])


@pytest.mark.parametrize(
    ("channels", "photometric", "extra"),
    [
        (["L", "X1"], "MINISBLACK", [0]),
        (["R", "G", "B", "X1"], "RGB", [0]),
        (["R", "G", "B", "Apre"], "RGB", [1]),
        (["R", "G", "B", "A", "X2"], "RGB", [2, 0]),
        (["L", "X1", "X2", "X3"], "MINISBLACK", [0, 0, 0]),
    ],
)
def test_tiff_remembers_what_its_channels_are(channels, photometric, extra):
    image = values((9, 13, len(channels)), "uint16")
    data = encode_image(image, container="TIFF", dtype="uint16", channels=channels)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages[0]
        assert page.photometric.name == photometric and [int(kind) for kind in page.extrasamples] == extra
    signal = read_image("-", data=data)
    np.testing.assert_array_equal(signal.values, image)
    assert signal.format["channels"] == channels


# --- what a container cannot hold


@pytest.mark.parametrize(
    ("container", "dtype", "n_channels", "text"),
    [
        ("JPEG", "uint8", 4, "1 or 3 channels of uint8, got 4 channels of uint8; write PNG or TIFF"),
        ("JPEG", "uint16", 1, "1 or 3 channels of uint8, got 1 channel of uint16; write PNG or TIFF"),
        ("BMP", "uint8", 2, "1 or 3 channels of uint8, got 2 channels of uint8; write PNG or TIFF"),
        ("WebP", "uint16", 3, "1 to 4 channels of uint8, got 3 channels of uint16; write PNG or TIFF"),
        ("PNG", "float32", 3, "1 to 4 channels of uint8 or uint16, got 3 channels of float32; write TIFF"),
        ("PNG", "uint8", 5, "1 to 4 channels of uint8 or uint16, got 5 channels of uint8; write TIFF"),
        ("TIFF", "int8", 3, "channels of uint8 or uint16 or float32, "
         "got 3 channels of int8; use one of those"),
    ],
)  # fmt: skip
def test_impossible_combinations(container, dtype, n_channels, text):
    with pytest.raises(ConfigError) as caught:
        encode_image(np.zeros((2, 3, n_channels), np.float32), container=container, dtype=dtype)
    assert str(caught.value) == f"{container} holds {text}"


@pytest.mark.parametrize(("container", "limit"), [("JPEG", 65500), ("WebP", 16383)])
def test_sides_that_are_too_long(container, limit):
    with pytest.raises(ConfigError) as caught:
        encode_image(np.zeros((1, limit + 1, 1), np.float32), container=container, dtype="uint8")
    assert str(caught.value) == (
        f"{container} holds at most {limit} pixels per side, got {limit + 1}x1; write PNG or TIFF"
    )
    data = encode_image(np.zeros((1, limit, 1), np.float32), container=container, dtype="uint8")
    assert read_image("-", data=data).shape == (1, limit)


def test_values_must_have_channels():
    with pytest.raises(ValueError, match=r"^values: expected shape \(h, w, c\), got \(2, 3\)$"):
        encode_image(np.zeros((2, 3), np.float32), container="PNG", dtype="uint8")


# --- names


@pytest.mark.parametrize(
    ("container", "suffixes"),
    [
        ("PNG", [".png"]), ("JPEG", [".jpg", ".jpeg"]), ("WebP", [".webp"]),
        ("BMP", [".bmp"]), ("TIFF", [".tif", ".tiff"]),
    ],
)  # fmt: skip
def test_suffixes(container, suffixes):
    assert output_suffix(container) == suffixes[0]
    for suffix in suffixes:
        assert container_for_suffix(suffix) == container_for_suffix(suffix.upper()) == container


@pytest.mark.parametrize(("suffix", "got"), [(".gif", ".gif"), ("", "none"), ("png", "png")])
def test_unknown_suffixes(suffix, got):
    with pytest.raises(ConfigError) as caught:
        container_for_suffix(suffix)
    known = ".png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff"
    assert str(caught.value) == f"output suffix: expected one of {known}, got {got}"
    with pytest.raises(ConfigError, match=r"container: expected one of PNG, .* got GIF"):
        output_suffix("GIF")


@pytest.mark.parametrize(
    ("container", "dtype", "n_channels", "expected"),
    [
        ("PNG", "uint8", 3, "PNG"), ("PNG", "uint16", 4, "PNG"), ("JPEG", "uint8", 3, "PNG"),
        ("WebP", "uint8", 4, "WebP"), ("BMP", "uint8", 3, "BMP"), ("BMP", "uint8", 4, "PNG"),
        ("TIFF", "float32", 3, "TIFF"), ("TIFF", "uint16", 7, "TIFF"), ("JPEG", "uint8", 7, "TIFF"),
    ],
)  # fmt: skip
def test_default_container_loses_nothing(container, dtype, n_channels, expected):
    fmt = {"container": container, "dtype": dtype, "channels": [str(k) for k in range(n_channels)]}
    assert default_container(fmt) == expected
    encode_image(np.zeros((2, 3, n_channels), np.float32), container=expected, dtype=dtype)
