"""16-bit PNG: every filter, every kind of pixel, and Pillow as a witness where it can be one."""

import io
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lrnn_cli.errors import InputError
from lrnn_cli.signals import png16
from lrnn_cli.signals.image import ImageOptions, read_image
from tests import references

COLOUR_TYPE = {1: 0, 2: 4, 3: 2, 4: 6}
SHAPES = [(1, 1), (1, 9), (9, 1), (6, 7), (13, 4)]


def picture(height, width, channels, seed=0):
    """Smooth and noisy parts, and values whose two bytes differ."""
    rng = np.random.default_rng(seed)
    ramp = np.add.outer(np.arange(height) * 3001, np.arange(width) * 517)[..., None] + 20011 * np.arange(
        channels
    )
    return ((ramp + rng.integers(0, 9000, ramp.shape)) % 65536).astype(np.uint16)


def decode(data):
    return png16.decode(io.BytesIO(data), "a.png")


@pytest.mark.parametrize(
    "filters", [(0,), (1,), (2,), (3,), (4,), (4, 3, 2, 1, 0), (1, 2, 0), (0, 4), (3, 1)]
)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_filter_and_shape(shape, channels, filters):
    samples = picture(*shape, channels)
    data = references.png_bytes(samples, 16, COLOUR_TYPE[channels], filters)
    decoded = decode(data)
    assert decoded.samples.dtype == np.uint16
    np.testing.assert_array_equal(decoded.samples, samples)
    assert (decoded.transparent, decoded.exif, decoded.profile, decoded.n_frames) == (None, b"", b"", 1)


@settings(max_examples=60, database=None)
@given(
    st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 2, 3, 4]),
    st.lists(st.integers(0, 4), min_size=1, max_size=12), st.integers(0, 1000), st.booleans(),
)  # fmt: skip
def test_any_mixture_of_filters(height, width, channels, filters, seed, interlaced):
    samples = np.random.default_rng(seed).integers(0, 65536, (height, width, channels)).astype(np.uint16)
    data = references.png_bytes(samples, 16, COLOUR_TYPE[channels], filters, interlaced=interlaced)
    np.testing.assert_array_equal(decode(data).samples, samples)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("shape", [*SHAPES, (300, 200)])
def test_what_is_encoded_is_what_was_given(shape, channels):
    samples = picture(*shape, channels)
    data = png16.encode(samples)
    np.testing.assert_array_equal(decode(data).samples, samples)
    assert data == png16.encode(samples)


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pillow_reads_what_we_encode(channels):
    """Exactly for grey; for colour it keeps the high bytes, which is why it is not asked otherwise."""
    samples = picture(40, 31, channels)
    with Image.open(io.BytesIO(png16.encode(samples))) as image:
        seen = np.asarray(image).reshape(samples.shape)
    np.testing.assert_array_equal(seen, samples if channels == 1 else samples >> 8)


def test_all_filters_are_chosen_somewhere_and_pay_off():
    """Rows made for each predictor; a file of filter 0 alone is larger."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 65536, (64, 1)).astype(np.uint16)
    smooth = np.cumsum(np.cumsum(rng.integers(-9, 10, (64, 64)), axis=0), axis=1).astype(np.uint16)
    samples = np.concatenate([np.tile(noise, 64), np.tile(noise.T, (64, 1)), smooth])[..., None]
    data = png16.encode(samples)
    rows = zlib.decompress(
        b"".join(body for kind, body in png16._chunks(io.BytesIO(data[8:]), "") if kind == b"IDAT")
    )
    kinds = set(rows[:: 1 + 2 * 64])
    assert {png16.SUB, png16.UP, png16.PAETH} <= kinds
    assert len(data) < 0.9 * len(references.png_bytes(samples, 16, 0))


def test_a_large_file_of_mixed_filters_takes_seconds_not_minutes():
    samples = picture(700, 900, 3)
    data = png16.encode(samples)
    start = time.process_time()
    np.testing.assert_array_equal(decode(data).samples, samples)
    assert time.process_time() - start < 10


# --- as a signal


@pytest.mark.parametrize(
    ("channels", "names"), [(1, ["L"]), (2, ["L", "A"]), (3, ["R", "G", "B"]), (4, ["R", "G", "B", "A"])]
)
def test_sixteen_bits_arrive_in_full(channels, names):
    samples = picture(8, 5, channels)
    signal = read_image("x.png", data=references.png_bytes(samples, 16, COLOUR_TYPE[channels], (4,)))
    assert signal.format == {"container": "PNG", "dtype": "uint16", "channels": names}
    np.testing.assert_array_equal(signal.values, (samples / 65535).astype(np.float32))
    assert signal.peak == 1.0


def test_all_values_survive():
    samples = np.arange(65536, dtype=np.uint16).reshape(64, 1024, 1)
    signal = read_image("x.png", data=png16.encode(samples))
    np.testing.assert_array_equal(np.rint(signal.values.astype(np.float64) * 65535), samples)
    assert signal.values.min() == 0.0 and signal.values.max() == 1.0


@pytest.mark.parametrize("key", [False, True])
def test_interlaced_grey(key):
    samples = picture(11, 9, 1)
    chunks = [(b"tRNS", struct.pack(">H", int(samples[4, 5, 0])))] if key else []
    signal = read_image(
        "x.png", data=references.png_bytes(samples, 16, 0, (4, 3), interlaced=True, chunks=chunks)
    )
    assert signal.format["dtype"] == "uint16"
    np.testing.assert_array_equal(signal.values[..., :1], (samples / 65535).astype(np.float32))
    assert signal.format["channels"] == (["L", "A"] if key else ["L"])
    if key:
        np.testing.assert_array_equal(signal.values[..., 1:], samples != samples[4, 5])


def test_pillow_reads_the_same_interlaced_grey():
    samples = picture(21, 19, 1)
    data = references.png_bytes(samples, 16, 0, (4, 3, 1), interlaced=True)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image)[..., None], decode(data).samples)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_transparent_colour_becomes_alpha(channels):
    samples = picture(6, 5, channels)
    samples[2, 3] = samples[0, 0]
    samples[1, 1, 0] = samples[0, 0, 0] + 1  # one channel off is opaque
    chunks = [(b"tRNS", struct.pack(f">{channels}H", *samples[0, 0].tolist()))]
    signal = read_image("x.png", data=references.png_bytes(samples, 16, COLOUR_TYPE[channels], chunks=chunks))
    expected = np.ones((6, 5))
    expected[0, 0] = expected[2, 3] = 0
    np.testing.assert_array_equal(signal.values[..., -1], expected)
    np.testing.assert_array_equal(signal.values[..., :-1], (samples / 65535).astype(np.float32))
    assert "its transparent colour converted to an alpha channel" in signal.notes


def test_exif_profile_and_animation_are_noticed():
    samples = picture(4, 6, 3)
    exif = Image.Exif()
    exif[0x0112] = 6
    chunks = [
        (b"eXIf", exif.tobytes()[6:]),
        (b"iCCP", b"Display P3\0\0" + zlib.compress(b"some profile")),
        (b"acTL", struct.pack(">II", 7, 0)),
    ]
    signal = read_image("x.png", data=references.png_bytes(samples, 16, 2, chunks=chunks))
    np.testing.assert_array_equal(signal.values, (np.rot90(samples, -1) / 65535).astype(np.float32))
    assert signal.notes == (
        "holds 7 frames; only the first is read",
        "turned upright by its orientation tag (6)",
        "its ICC colour profile is neither applied nor kept",
    )


@pytest.mark.parametrize("exif", [b"rubbish", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\0\x05\0\0"])
def test_a_broken_exif_block_neither_stops_nor_warns(exif):
    samples = picture(4, 6, 3)
    signal = read_image("x.png", data=references.png_bytes(samples, 16, 2, chunks=[(b"eXIf", exif)]))
    np.testing.assert_array_equal(signal.values, (samples / 65535).astype(np.float32))
    assert not any("turned" in note for note in signal.notes)


@pytest.mark.parametrize(
    ("body", "noted"),
    [
        (b"sRGB\0\0" + zlib.compress(b"... sRGB IEC61966-2.1 ..."), False),
        (b"x\0\0" + zlib.compress("sRGB".encode("utf-16-be")), False),
        (b"x\0\0not deflated", False),
        (b"x\0\0" + zlib.compress(b"Adobe RGB"), True),
    ],
)
def test_only_a_foreign_profile_deserves_a_note(body, noted):
    data = references.png_bytes(picture(2, 2, 3), 16, 2, chunks=[(b"iCCP", body)])
    assert any("ICC" in note for note in read_image("x.png", data=data).notes) == noted


# --- what is refused


def refusal(data, **options):
    with pytest.raises(InputError) as caught:
        read_image("a.png", ImageOptions(**options), data=data)
    assert "\n" not in str(caught.value)
    return str(caught.value)


GOOD = references.png_bytes(picture(6, 5, 3), 16, 2, (4,))


@pytest.mark.parametrize("keep", [34, 45, 60, -14, -30])
def test_truncated(keep):
    text = refusal(GOOD[:keep])
    assert text.startswith(
        "a.png: truncated or damaged PNG file (the file ends in the middle of a chunk); fetch"
    )


def test_a_missing_end_mark_alone_is_forgiven():
    assert read_image("a.png", data=GOOD[:-12]).values.shape == (6, 5, 3)


def test_too_few_pixels():
    short = references.png_bytes(picture(5, 5, 3), 16, 2)
    header = references.png_chunk(b"IHDR", struct.pack(">IIBBBBB", 5, 6, 16, 2, 0, 0, 0))
    assert "(155 of 186 bytes of pixels are there)" in refusal(short[:8] + header + short[33:])
    assert "(0 of 186 bytes of pixels are there)" in refusal(short[:8] + header + short[-12:])


def test_more_data_than_pixels_is_cut_off_and_bounded():
    """A bomb inside the pixel data: 6 x 5 pixels declared, 50 MB of zeros deflated."""
    samples = picture(6, 5, 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    body = references.png_chunk(b"IDAT", zlib.compress(rows + bytes(5 * 10**7)))
    more = references.png_chunk(b"IDAT", b"never looked at")
    np.testing.assert_array_equal(decode(GOOD[:33] + body + more + GOOD[-12:]).samples, samples)


def test_damaged():
    flipped = bytearray(GOOD)
    flipped[50] ^= 1
    assert "(wrong checksum of chunk IDAT)" in refusal(bytes(flipped))
    header = bytearray(GOOD)
    header[19] += 1  # the width
    assert "(wrong checksum of chunk IHDR)" in refusal(bytes(header))
    nonsense = GOOD[:33] + references.png_chunk(b"IDAT", b"no deflate stream") + GOOD[-12:]
    assert "truncated or damaged PNG file (Error -3 while decompressing" in refusal(nonsense)
    rows = b"\5" + bytes(30) + bytes(31 * 5)
    odd = GOOD[:33] + references.png_chunk(b"IDAT", zlib.compress(rows)) + GOOD[-12:]
    assert "(filter type 5 does not exist)" in refusal(odd)


def test_headers_that_cannot_be():
    assert refusal(GOOD[:20]) == "a.png: the PNG header is incomplete; fetch or export the file again"
    assert "header is incomplete" in refusal(GOOD[:8] + references.png_chunk(b"gAMA", bytes(30)))
    header = struct.pack(">IIBBBBB", 5, 6, 16, 3, 0, 0, 0)
    text = refusal(GOOD[:8] + references.png_chunk(b"IHDR", header) + GOOD[33:])
    assert "the PNG header is damaged (bit depth 16 with colour type 3)" in text
    with pytest.raises(InputError, match=r"bit depth 8 with colour type 2"):
        decode(references.png_bytes(picture(2, 2, 3) >> 8, 8, 2))


@pytest.mark.parametrize("size", [(0, 6), (5, 0)])
def test_no_pixels(size):
    header = references.png_chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 16, 2, 0, 0, 0))
    assert refusal(GOOD[:8] + header + GOOD[33:]).startswith(
        f"a.png: has no pixels ({size[0]}x{size[1]}); fetch"
    )


def test_too_many_pixels_are_refused_before_decoding(monkeypatch):
    monkeypatch.setattr(png16, "decode", None)  # calling it would be a TypeError
    assert "5x6 = 30 pixels are more than max_pixels=29" in refusal(GOOD, max_pixels=29)
