"""Images written band by band: the same pixels as written whole, in memory that does not grow with them."""

import io
import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lrnn_cli.errors import ConfigError
from lrnn_cli.signals import image_stream
from lrnn_cli.signals.image import encode_image, read_image
from lrnn_cli.signals.image_stream import check_size, write_image


def written(values, cuts, **options):
    stream = io.BytesIO()
    edges = [0, *sorted(cuts), len(values)]
    bands = (values[top:stop] for top, stop in itertools.pairwise(edges))
    write_image(stream, bands, values.shape, **options)
    return stream.getvalue()


FORMATS = [
    ("PNG", "uint8", (1, 2, 3, 4)),
    ("PNG", "uint16", (1, 2, 3, 4)),
    ("TIFF", "uint8", (1, 2, 3, 4, 5)),
    ("TIFF", "float32", (1, 2, 3, 4, 5)),
    ("JPEG", "uint8", (1, 3)),
    ("WebP", "uint8", (1, 2, 3, 4)),
    ("BMP", "uint8", (1, 3)),
]


@pytest.mark.parametrize(
    ("container", "dtype", "channels"),
    [(container, dtype, n) for container, dtype, counts in FORMATS for n in counts],
)
def test_bands_give_the_image_that_the_whole_gives(monkeypatch, container, dtype, channels):
    monkeypatch.setattr(image_stream, "PIECE_BYTES", 300)
    values = np.random.default_rng(channels).random((37, 21, channels), dtype=np.float32) * 1.2 - 0.1
    options = {"container": container, "dtype": dtype}
    whole = read_image("x", data=encode_image(values, **options))
    parts = read_image("x", data=written(values, (1, 2, 2, 30), **options))
    assert np.array_equal(parts.values, whole.values)
    assert parts.format == whole.format
    assert parts.notes == whole.notes


@given(st.lists(st.integers(0, 23), max_size=6), st.sampled_from([1, 50, 200, 10**6]))
@settings(max_examples=30)
def test_the_bytes_do_not_depend_on_the_cuts(cuts, piece):
    values = np.random.default_rng(0).random((23, 5, 3), dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(image_stream, "PIECE_BYTES", piece)
        for container in ("PNG", "TIFF"):
            options = {"container": container, "dtype": "uint8"}
            assert written(values, cuts, **options) == written(values, (), **options)


@pytest.mark.parametrize(("container", "dtype"), [("PNG", "uint8"), ("TIFF", "float32")])
def test_memory_is_that_of_a_band(monkeypatch, tmp_path, container, dtype):
    monkeypatch.setattr(image_stream, "PIECE_BYTES", 2**14)
    band = np.zeros((8, 1000, 3), dtype=np.float32)
    band[::2, ::3] = 0.5
    shape = (1600, 1000, 3)  # 4.8 MB as uint8, 19 MB as float32
    with open(tmp_path / "x", "w+b") as file:
        tracemalloc.start()
        try:
            write_image(file, (band for _ in range(200)), shape, container=container, dtype=dtype)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert peak < 2.5e6
    assert read_image(tmp_path / "x").values.shape == shape


@pytest.mark.parametrize(
    ("size", "container", "words"),
    [
        ((0, 5), "PNG", "at least 1x1"),
        ((2**20, 2**20), "TIFF", "--region"),
        ((2**15, 2**14), "WebP", "write PNG or TIFF"),
    ],
)
def test_sizes_that_are_refused(size, container, words):
    with pytest.raises(ConfigError, match=words):
        check_size(*size, container=container)


def test_sizes_that_are_not():
    check_size(2**14, 2**14, container="BMP")
    check_size(2**18, 2**18, container="PNG")
