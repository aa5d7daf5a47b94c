"""Options of reading, sizes and memory, and the record that every reader returns."""

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydantic import ValidationError

from lrnn_cli.numerics import metrics
from lrnn_cli.signals.image import ImageOptions, encode_image, read_image
from lrnn_cli.signals.signal import Signal
from tests import references

SAMPLES = Path(__file__).resolve().parents[2] / "sample_data"
NAMES = {"L": ["L"], "LA": ["L", "A"], "RGB": ["R", "G", "B"], "RGBA": ["R", "G", "B", "A"]}


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


# --- options


def test_alpha_can_be_dropped():
    for mode, rest in [("RGBA", "RGB"), ("LA", "L")]:
        image = photo(mode=mode)
        signal = read_image("x", ImageOptions(alpha="drop"), data=encoded(image, "PNG"))
        np.testing.assert_array_equal(signal.values, (array(image)[..., :-1] / 255).astype(np.float32))
        assert signal.format["channels"] == NAMES[rest]
        assert signal.notes == ("alpha dropped, colours kept as stored",)
    plain = read_image("x", ImageOptions(alpha="drop"), data=encoded(photo(), "PNG"))
    assert plain.n_channels == 3 and plain.notes == ()


def test_grey_is_rec_601_luma():
    pure = np.array(
        [[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [90, 90, 90]]], np.uint8
    )
    signal = read_image("x", ImageOptions(grey=True), data=encoded(Image.fromarray(pure), "PNG"))
    expected = np.array([0.299, 0.587, 0.114, 1.0, 0.0, 90 / 255], dtype=np.float32)
    np.testing.assert_array_equal(signal.values[0, :, 0], expected)  # greys exactly, by design
    assert signal.format["channels"] == ["L"]
    assert signal.notes == ("converted to grey: 0.299 R + 0.587 G + 0.114 B (Rec. 601) of the stored values",)
    image = photo(30, 20)
    signal = read_image("x", ImageOptions(grey=True), data=encoded(image, "PNG"))
    assert np.abs(signal.values[..., 0] * 255 - np.asarray(image.convert("L"))).max() < 0.51  # Pillow rounds


def test_grey_keeps_alpha_and_leaves_grey_alone():
    image = photo(mode="RGBA")
    signal = read_image("x", ImageOptions(grey=True), data=encoded(image, "PNG"))
    assert signal.format["channels"] == ["L", "A"]
    np.testing.assert_array_equal(signal.values[..., 1], (array(image)[..., 3] / 255).astype(np.float32))
    signal = read_image("x", ImageOptions(grey=True), data=encoded(photo(mode="LA"), "PNG"))
    assert signal.format["channels"] == ["L", "A"] and not any("grey:" in note for note in signal.notes)


def test_crop_is_exact():
    image = photo(13, 9)
    signal = read_image("x", ImageOptions(crop=(2, 1, 9, 4)), data=encoded(image, "PNG"))
    np.testing.assert_array_equal(signal.values, (array(image)[1:4, 2:9] / 255).astype(np.float32))
    assert signal.notes == ("cropped from 9x13 to 7x3 pixels at (2, 1)",)
    whole = read_image("x", ImageOptions(crop=(0, 0, 9, 13)), data=encoded(image, "PNG"))
    assert whole.shape == (13, 9)


@pytest.mark.parametrize("size", [(20, 30), (150, 90), (7, 64), (1, 1)])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_resize_is_lanczos_in_float(mode, size):
    with Image.open(SAMPLES / "astronaut256.png") as source:
        image = source.convert(mode).crop((60, 0, 180, 101))
    signal = read_image("x", ImageOptions(resize=size), data=encoded(image, "PNG"))
    assert signal.shape == size[::-1]
    expected = references.lanczos(array(image) / 255, *size)
    assert expected.min() < 0 or expected.max() > 1 or size == (1, 1)  # there is overshoot to be cut
    np.testing.assert_allclose(signal.values, np.clip(expected, 0, 1), atol=1e-6)
    assert 0 <= signal.values.min() and signal.values.max() <= 1
    assert signal.notes == (f"resized from 120x101 to {size[0]}x{size[1]} pixels (Lanczos)",)


def test_resize_keeps_16_bits():
    """A ramp of less than one 8-bit step stays a ramp."""
    ramp = np.linspace(0.5, 0.503, 64, dtype=np.float32)[None, :, None].repeat(8, axis=0)
    data = encode_image(ramp, container="PNG", dtype="uint16")
    values = read_image("x", ImageOptions(resize=(128, 8)), data=data).values[4, :, 0]
    assert len(np.unique(values)) > 100
    assert np.all(np.diff(values[6:-6]) > 0)


def test_resize_overshoot_is_cut_at_black_and_white():
    step = np.zeros((8, 64), dtype=np.uint8)
    step[:, 32:] = 255
    values = read_image("x", ImageOptions(resize=(256, 8)), data=encoded(Image.fromarray(step), "PNG")).values
    assert values.min() == 0.0 and values.max() == 1.0
    same = read_image("x", ImageOptions(resize=(64, 8)), data=encoded(Image.fromarray(step), "PNG"))
    assert same.notes == ()  # nothing to do


def test_order_is_crop_alpha_grey_resize():
    image = photo(30, 40, "RGBA")
    options = ImageOptions(crop=(5, 5, 35, 25), alpha="drop", grey=True, resize=(15, 10))
    signal = read_image("x", options, data=encoded(image, "PNG"))
    assert signal.values.shape == (10, 15, 1)
    assert [note.split()[0] for note in signal.notes] == ["cropped", "alpha", "converted", "resized"]
    cropped = ImageOptions(crop=(5, 5, 35, 25), alpha="drop", grey=True)
    before = read_image("x", cropped, data=encoded(image, "PNG")).values[..., 0]
    expected = Image.fromarray(before).resize((15, 10), Image.Resampling.LANCZOS)
    np.testing.assert_array_equal(signal.values[..., 0], np.clip(np.asarray(expected), 0, 1))


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"rezise": (3, 4)}, "rezise"),
        ({"alpha": "maybe"}, "'keep' or 'drop'"),
        ({"resize": (3,)}, "resize"),
        ({"max_pixels": 0}, "greater than 0"),
    ],
)
def test_options_are_checked(arguments, text):
    with pytest.raises(ValidationError, match=text):
        ImageOptions(**arguments)


def test_options_are_frozen_and_come_from_json():
    options = ImageOptions.model_validate_json('{"resize": [3, 4], "crop": [0, 0, 2, 2]}')
    assert options == ImageOptions(resize=(3, 4), crop=(0, 0, 2, 2))
    with pytest.raises(ValidationError, match="frozen"):
        options.grey = True


# --- shapes and sizes


@pytest.mark.parametrize("shape", [(1, 1), (1, 3000), (3000, 1), (2, 77)])
@pytest.mark.parametrize("container", ["PNG", "WebP", "BMP", "TIFF"])
def test_any_aspect_ratio(container, shape):
    values = (np.random.default_rng(0).integers(0, 256, (*shape, 3)) / 255).astype(np.float32)
    data = encode_image(values, container=container, dtype="uint8")
    np.testing.assert_array_equal(read_image("x", data=data).values, values)


def test_reading_takes_a_few_times_the_memory_of_the_values():
    values = np.zeros((1500, 1500, 3), dtype=np.float32)
    data = encode_image(values, container="PNG", dtype="uint8")
    tracemalloc.start()
    try:
        read_image("x", data=data)
        assert tracemalloc.get_traced_memory()[1] < 2 * values.nbytes
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize(("container", "dtype"), [("PNG", "uint16"), ("TIFF", "float32"), ("WebP", "uint8")])
def test_4096_squared_in_bounded_memory(container, dtype):
    side = np.linspace(0, 1, 4096, dtype=np.float32)
    values = np.stack(
        [np.add.outer(side, side) / 2, np.outer(side, side), np.abs(np.subtract.outer(side, side))], -1
    )
    data = encode_image(values, container=container, dtype=dtype)
    tracemalloc.start()
    try:
        signal = read_image("x", data=data)
        assert tracemalloc.get_traced_memory()[1] < 3 * values.nbytes
    finally:
        tracemalloc.stop()
    assert metrics.psnr(signal.values, target=values, peak=1.0) > (58 if dtype == "uint8" else 100)


# --- the record itself


def signal(**changes):
    fields = {
        "values": np.zeros((2, 3, 1), np.float32), "kind": "image", "peak": 1.0,
        "name": "a", "path": "a.png", "sha256": "0",
    }  # fmt: skip
    return Signal(**{**fields, **changes})


def test_a_signal_knows_its_shape():
    assert (signal().shape, signal().n_channels, signal().notes, signal().format) == ((2, 3), 1, (), {})


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"values": np.zeros((2, 3, 1))}, "values: expected dtype float32, got float64"),
        ({"values": np.zeros(3, np.float32)}, r"expected shape \(n_1, …, n_d, c\) without zeros, got \(3,\)"),
        ({"values": np.zeros((3, 0), np.float32)}, r"without zeros, got \(3, 0\)"),
        ({"peak": 0.0}, "peak: expected a positive finite number, got 0.0"),
        ({"peak": float("inf")}, "peak: expected a positive finite number, got inf"),
        ({"peak": float("nan")}, "got nan"),
    ],
)
def test_a_signal_checks_itself(changes, text):
    with pytest.raises(ValueError, match=text):
        signal(**changes)
