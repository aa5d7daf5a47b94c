"""TIFF: depths, colour spaces, layouts, codecs, and float images."""

import io
import logging

import numpy as np
import pytest
import tifffile
from PIL import Image

from lrnn_cli.errors import InputError
from lrnn_cli.signals.image import ImageOptions, read_image

RNG_SEED = 0


def samples(shape, dtype=np.uint8):
    rng = np.random.default_rng(RNG_SEED)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    info = np.iinfo(dtype)
    return rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)


def tiff(values, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **{"metadata": None, **options})
    return stream.getvalue()


def pillow_tiff(image, **options):
    stream = io.BytesIO()
    image.save(stream, "TIFF", **options)
    return stream.getvalue()


def refusal(data, **options):
    with pytest.raises(InputError) as caught:
        read_image("a.tif", ImageOptions(**options), data=data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- integers


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    ("shape", "photometric", "channels"),
    [
        ((9, 13), "minisblack", ["L"]),
        ((9, 13, 3), "rgb", ["R", "G", "B"]),
        ((9, 13, 4), "rgb", ["R", "G", "B", "A"]),
    ],
)
@pytest.mark.parametrize(
    "layout",
    [
        {}, {"rowsperstrip": 2}, {"tile": (16, 16)}, {"bigtiff": True}, {"byteorder": ">"},
        {"compression": "zlib"}, {"compression": "zlib", "predictor": True}, {"compression": "lzma"},
    ],
    ids=str,
)  # fmt: skip
def test_depths_and_layouts(dtype, shape, photometric, channels, layout):
    values = samples(shape, dtype)
    signal = read_image("a.tif", data=tiff(values, photometric=photometric, **layout))
    top = np.iinfo(dtype).max
    np.testing.assert_array_equal(signal.values, (values.reshape(9, 13, -1) / top).astype(np.float32))
    assert signal.format == {"container": "TIFF", "dtype": np.dtype(dtype).name, "channels": channels}
    assert signal.peak == 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("n_channels", [3, 4])
def test_planes_stored_one_after_the_other(dtype, n_channels):
    values = samples((9, 13, n_channels), dtype)
    data = tiff(np.moveaxis(values, -1, 0), photometric="rgb", planarconfig="separate")
    signal = read_image("a.tif", data=data)
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    np.testing.assert_array_equal(signal.values, (values / top).astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero(dtype):
    values = samples((9, 13), dtype)
    signal = read_image("a.tif", data=tiff(values, photometric="miniswhite"))
    top = np.iinfo(dtype).max
    np.testing.assert_array_equal(signal.values[..., 0], ((top - values) / top).astype(np.float32))
    assert signal.notes == ("white was stored as zero; inverted",)


def test_bilevel():
    values = samples((9, 13)) > 100
    signal = read_image("a.tif", data=tiff(values, photometric="minisblack"))
    np.testing.assert_array_equal(signal.values[..., 0], values)
    assert signal.format["dtype"] == "uint8"
    assert signal.notes == ("1-bit samples converted to 8 bits",)


def test_palette_of_pillow():
    image = Image.fromarray(samples((9, 13, 3))).quantize(17)
    signal = read_image("a.tif", data=pillow_tiff(image))
    np.testing.assert_array_equal(signal.values, (np.asarray(image.convert("RGB")) / 255).astype(np.float32))
    assert signal.notes == ("palette converted to RGB",)
    assert signal.format == {"container": "TIFF", "dtype": "uint8", "channels": ["R", "G", "B"]}


@pytest.mark.parametrize(
    ("scale", "dtype", "top"),
    [(257, "uint8", 255 * 257), (256, "uint8", 255 * 256), (1, "uint8", 255), (0, "uint16", 65535)],
)
def test_palettes_in_every_scale(scale, dtype, top):
    """Entries are 16-bit by the standard; programs write 8-bit values times 257, times 256 or 1."""
    colours = samples((3, 256), np.uint16) if scale == 0 else (samples((3, 256)).astype(np.uint16) * scale)
    colours[:, :2] = [[0, top]] * 3
    index = samples((9, 13))
    signal = read_image("a.tif", data=tiff(index, photometric="palette", colormap=colours))
    np.testing.assert_array_equal(
        signal.values, (np.moveaxis(colours[:, index], 0, -1) / top).astype(np.float32)
    )
    assert signal.format["dtype"] == dtype


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_cmyk(dtype):
    values = samples((9, 13, 4), dtype)
    signal = read_image("a.tif", data=tiff(values, photometric="separated"))
    ink = values.astype(float) / np.iinfo(dtype).max
    expected = (1 - ink[..., :3]) * (1 - ink[..., 3:])
    assert np.abs(signal.values - expected).max() <= 0.5001 / np.iinfo(dtype).max
    assert signal.notes == ("CMYK converted to RGB without a colour profile",)
    if dtype == np.uint8:
        pillow = np.asarray(Image.frombytes("CMYK", (13, 9), values.tobytes()).convert("RGB")).astype(int)
        assert np.abs(signal.values * 255 - pillow).max() < 1.01


def test_alpha_is_told_from_other_extra_channels():
    values = samples((9, 13, 4))
    plain = read_image("a.tif", data=tiff(values, photometric="rgb", extrasamples=["unspecified"]))
    assert plain.format["channels"] == ["R", "G", "B", "X1"] and plain.notes == ()
    premultiplied = tiff(values, photometric="rgb", extrasamples=["assocalpha"])
    signal = read_image("a.tif", data=premultiplied)
    assert signal.format["channels"] == ["R", "G", "B", "Apre"]
    assert signal.notes[0] == "its alpha is premultiplied; colours are kept as stored"
    assert read_image("a.tif", ImageOptions(alpha="drop"), data=premultiplied).n_channels == 3
    grey = tiff(values[..., :2], photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    assert read_image("a.tif", data=grey).format["channels"] == ["L", "A"]


def test_many_bands():
    values = samples((9, 13, 7), np.uint16)
    data = tiff(values, photometric="minisblack", planarconfig="contig")
    signal = read_image("a.tif", data=data)
    np.testing.assert_array_equal(signal.values, (values / 65535).astype(np.float32))
    assert signal.format["channels"] == ["L", "X1", "X2", "X3", "X4", "X5", "X6"]
    text = refusal(data, grey=True)
    assert text == "a.tif: grey needs R, G, B, got channels L, X1, X2, X3, X4, X5, X6; convert it first"


# --- float and other integers


@pytest.mark.parametrize("shape", [(9, 13), (9, 13, 3)])
def test_float_within_one(shape):
    values = samples(shape, np.float32)
    photometric = "rgb" if len(shape) == 3 else "minisblack"
    signal = read_image("a.tif", data=tiff(values, photometric=photometric))
    np.testing.assert_array_equal(signal.values, values.reshape(9, 13, -1))
    assert signal.peak == 1.0
    assert signal.format["dtype"] == "float32"
    assert signal.notes == ("float values kept as stored; all lie in [0, 1], so the peak is 1",)


@pytest.mark.parametrize(
    ("low", "high", "peak", "note"),
    [
        (-2.0, 6.0, 8.0, "float values kept as stored; peak 8 = 6 - (-2)"),
        (0.0, 1000.0, 1000.0, "float values kept as stored; peak 1000 = 1000 - (0)"),
        (5.0, 5.0, 5.0, "float values kept as stored; all are 5, so the peak is 5"),
        (-0.5, -0.5, 0.5, "float values kept as stored; all are -0.5, so the peak is 0.5"),
        (0.0, 0.0, 1.0, "float values kept as stored; all lie in [0, 1], so the peak is 1"),
    ],
)
def test_float_of_any_range(low, high, peak, note):
    values = np.linspace(low, high, 12, dtype=np.float32).reshape(3, 4)
    signal = read_image("a.tif", data=tiff(values))
    np.testing.assert_array_equal(signal.values[..., 0], values)
    assert (signal.peak, signal.notes) == (peak, (note,))


def test_the_peak_is_that_of_what_is_fitted():
    values = np.linspace(0, 11, 12, dtype=np.float32).reshape(3, 4)
    assert read_image("a.tif", ImageOptions(crop=(0, 0, 2, 1)), data=tiff(values)).peak == 1.0
    assert read_image("a.tif", ImageOptions(crop=(1, 0, 4, 3)), data=tiff(values)).peak == 10.0


@pytest.mark.parametrize(
    ("dtype", "note"),
    [
        (np.int16, "int16 samples kept as stored, in float32"),
        (np.int8, "int8 samples kept as stored, in float32"),
        (np.float16, "float16 samples kept as stored, in float32"),
        (np.float64, "float64 samples kept as stored, in float32, which keeps 24 bits"),
        (np.uint32, "uint32 samples kept as stored, in float32, which keeps 24 bits"),
        (np.int32, "int32 samples kept as stored, in float32, which keeps 24 bits"),
    ],
)
def test_other_samples_are_kept_in_float32(dtype, note):
    values = samples((9, 13), dtype)
    signal = read_image("a.tif", data=tiff(values, photometric="minisblack"))
    np.testing.assert_array_equal(signal.values[..., 0], values.astype(np.float32))
    assert signal.format["dtype"] == "float32"
    assert signal.notes[0] == note


def test_float_resize_stays_within_its_range():
    values = np.where(np.arange(64) < 32, -3.0, 7.0).astype(np.float32)[None].repeat(8, axis=0)
    signal = read_image("a.tif", ImageOptions(resize=(256, 8)), data=tiff(values))
    assert signal.values.shape == (8, 256, 1)
    assert (signal.values.min(), signal.values.max(), signal.peak) == (-3.0, 7.0, 10.0)


def test_float_grey_and_white_is_zero():
    values = 10 * samples((9, 13, 3), np.float32)
    signal = read_image("a.tif", ImageOptions(grey=True), data=tiff(values, photometric="rgb"))
    np.testing.assert_allclose(signal.values[..., 0], values @ [0.299, 0.587, 0.114], rtol=1e-6)
    inverse = read_image("a.tif", data=tiff(values[..., 0], photometric="miniswhite"))
    np.testing.assert_array_equal(inverse.values[..., 0], values[..., 0])
    assert inverse.notes[0] == "white is stored as zero; kept as stored"


@pytest.mark.parametrize(
    ("bad", "count"),
    [
        ([np.nan] * 3 + [np.inf], "3 NaN and 1 infinite among 117 values"),
        ([np.nan], "1 NaN among 117 values"),
        ([np.inf, -np.inf], "2 infinite among 117 values"),
    ],
)
def test_nan_and_infinity_are_counted(bad, count):
    values = samples((9, 13), np.float32)
    values[0, : len(bad)] = bad
    assert refusal(tiff(values)) == f"a.tif: {count}; fill them in, or crop to a part without them"
    assert read_image("a.tif", ImageOptions(crop=(0, 1, 13, 9)), data=tiff(values)).shape == (8, 13)


def test_beyond_float32_is_infinite():
    assert "1 infinite among 4 values" in refusal(tiff(np.array([[1e300, 1.0], [0.0, 2.0]])))


# --- several pages


def test_pages_and_stacks():
    pages = samples((4, 9, 13))
    for data in (
        tiff(pages, photometric="minisblack"),
        tiff(pages, photometric="minisblack", metadata={"axes": "ZYX"}),
        tiff(pages, imagej=True, metadata={"axes": "TYX"}),
    ):
        signal = read_image("a.tif", data=data)
        np.testing.assert_array_equal(signal.values[..., 0], (pages[0] / 255).astype(np.float32))
        assert signal.notes == ("holds 4 pages; only the first is read",)


def test_remarks_of_the_reader_are_notes_not_output(capfd):
    data = bytearray(tiff(samples((9, 13)), photometric="minisblack", software="somebody's program"))
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        tag = file.pages[0].tags["Software"]
    data[tag.offset + 8 : tag.offset + 12] = (
        b"\xff\xff\xff\x7f"  # its text lies far behind the end of the file
    )
    signal = read_image("a.tif", data=bytes(data))
    assert len(signal.notes) == 1 and signal.notes[0].startswith("the TIFF reader remarks: ")
    assert "305" in signal.notes[0]
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("tifffile").handlers == [] and logging.getLogger("tifffile").propagate


# --- what is refused


@pytest.mark.parametrize(
    ("compression", "name"), [("tiff_lzw", "LZW"), ("jpeg", "JPEG"), ("group4", "CCITTFAX4")]
)
def test_a_missing_codec_says_what_to_install(compression, name):
    image = Image.fromarray(samples((16, 16, 3))).convert("1" if compression == "group4" else "RGB")
    text = refusal(pillow_tiff(image, compression=compression))
    assert text == (
        f"a.tif: TIFF compression {name} and {1 if compression == 'group4' else 8} bits need a codec that is "
        "not installed; run 'pip install imagecodecs', "
        "or save it uncompressed or with Deflate at 8 or 16 bits"
    )


def test_a_missing_predictor_is_named_too():
    image = Image.fromarray(samples((16, 16, 3)))
    text = refusal(pillow_tiff(image, compression="tiff_lzw", tiffinfo={317: 2}))
    assert "TIFF compression LZW with predictor HORIZONTAL and 8 bits need a codec" in text


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_foreign_colour_spaces(mode):
    image = (
        Image.fromarray(samples((9, 13, 3))).convert("YCbCr")
        if mode == "YCbCr"
        else Image.new("LAB", (13, 9))
    )
    name = {"YCbCr": "YCBCR", "LAB": "CIELAB"}[mode]
    assert refusal(pillow_tiff(image)) == (
        f"a.tif: TIFF colour space {name} is not supported; convert it to grey or RGB"
    )


def test_volumes_and_complex_samples():
    volume = tiff(samples((4, 16, 16)), photometric="minisblack", volumetric=True, tile=(4, 16, 16))
    assert refusal(volume) == "a.tif: a TIFF page with axes ZYX is no image; save one slice"
    assert refusal(tiff(samples((3, 4)).astype(np.complex64))) == (
        "a.tif: TIFF samples of complex64 are not supported; convert it to 8, 16 or float 32 bits"
    )


def test_colour_spaces_that_need_unsigned_integers():
    text = refusal(tiff(samples((9, 13, 4), np.float32), photometric="separated"))
    assert (
        text
        == "a.tif: TIFF colour space SEPARATED with samples of float32 is not supported; convert it to RGB"
    )


def retagged(data, code, value):
    """The file with the value of a SHORT tag changed."""
    data = bytearray(data)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        offset = file.pages[0].tags[code].valueoffset
    data[offset : offset + 2] = int(value).to_bytes(2, "little")
    return bytes(data)


def test_headers_that_contradict_themselves():
    grey = tiff(samples((9, 13)), photometric="minisblack", byteorder="<")
    assert refusal(retagged(grey, 262, 2)) == (
        "a.tif: the TIFF header contradicts itself (samples per pixel 1, colour space RGB); "
        "export the file again"
    )
    assert "palette is missing or damaged; export it again as RGB" in refusal(retagged(grey, 262, 3))
    rgb = tiff(samples((9, 13, 3)), photometric="rgb", byteorder="<")
    assert "(samples per pixel 3, colour space PALETTE)" in refusal(retagged(rgb, 262, 3))
    assert "(samples per pixel 3, colour space SEPARATED)" in refusal(retagged(rgb, 262, 5))
    assert "a.tif: has no pixels (0x9); fetch or export it again" == refusal(retagged(grey, 256, 0))


def test_too_many_pixels_or_channels_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(tifffile.TiffPage, "asarray", None)  # calling it would be a TypeError
    grey = tiff(samples((9, 13)), photometric="minisblack")
    assert "13x9 = 117 pixels are more than max_pixels=116" in refusal(grey, max_pixels=116)
    bands = tiff(samples((9, 13, 9)), photometric="minisblack", planarconfig="contig")
    assert refusal(bands, max_pixels=200) == (
        "a.tif: 13x9 pixels of 9 channels are more than 4 x max_pixels=200 values; "
        "raise image.max_pixels in --config, or shrink it"
    )


@pytest.mark.parametrize(
    "layout", [{}, {"compression": "zlib"}, {"rowsperstrip": 2}, {"tile": (16, 16)}], ids=str
)
@pytest.mark.parametrize("keep", [6, 30, 120, 0.5, 0.9, -1])
def test_truncated(layout, keep):
    data = tiff(samples((64, 48, 3)), photometric="rgb", **layout)
    text = refusal(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    assert text.startswith("a.tif: cannot be decoded as TIFF (")
    assert text.endswith("); the file is damaged or incomplete, fetch or export it again")
