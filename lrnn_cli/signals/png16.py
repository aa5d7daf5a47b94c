"""PNG with 16 bits per channel, decoded and encoded with numpy and zlib.

Pillow reads such files as 8 bits, except grey ones. Source of the format: Portable Network Graphics (PNG)
Specification, W3C Recommendation, third edition 2025; section numbers below refer to it.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from lrnn_cli.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # colour type → channels (11.2.1); 3, a palette, never has 16 bits
PIECE = 2**20  # bytes handled at a time where nothing else sets the size
NONE, SUB, UP, AVERAGE, PAETH = range(5)  # filter types (9.2)
# first row, first column, step of rows, step of columns of the seven passes of an interlaced file (8.2)
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@dataclass(frozen=True)
class Header:
    """The IHDR chunk.

    Attributes:
        width: Pixels per row.
        height: Rows.
        bit_depth: Bits per sample, or per palette index.
        colour_type: 0 grey, 2 RGB, 3 palette, 4 grey + alpha, 6 RGBA.
        interlaced: Whether the rows come in the seven passes of Adam7.
    """

    width: int
    height: int
    bit_depth: int
    colour_type: int
    interlaced: bool


@dataclass(frozen=True)
class Decoded:
    """A decoded file.

    Attributes:
        samples: uint16 (h, w, c).
        transparent: The grey or RGB value that means transparent (tRNS), if there is one.
        exif: The EXIF block, or empty.
        profile: The ICC profile, or empty.
        n_frames: Frames of an animated file, 1 otherwise.
    """

    samples: np.ndarray
    transparent: tuple[int, ...] | None
    exif: bytes
    profile: bytes
    n_frames: int


def read_header(head: bytes, name: str) -> Header:
    """Read the IHDR chunk.

    Args:
        head: The first bytes of the file, at least 33.
        name: File name for the message.

    Returns:
        The header.

    Raises:
        InputError: If the file ends before its header does, or begins with another chunk.
    """
    if len(head) < 33 or head[12:16] != b"IHDR":
        raise InputError(f"{name}: the PNG header is incomplete; fetch or export the file again")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", head[16:29])
    return Header(width, height, depth, colour, bool(interlace))


def decode(stream: BinaryIO, name: str) -> Decoded:
    """Decode a file of 16 bits per sample.

    Args:
        stream: The file, seekable, at its beginning; its number of pixels has been checked.
        name: File name for the message.

    Returns:
        The samples and what else matters.

    Raises:
        InputError: If the file is truncated, damaged or not of 16 bits.
    """
    header = read_header(stream.read(33), name)
    if header.bit_depth != 16 or header.colour_type not in CHANNELS:
        what = f"bit depth {header.bit_depth} with colour type {header.colour_type}"
        raise InputError(f"{name}: the PNG header is damaged ({what}); fetch or export the file again")
    samples = np.empty((header.height, header.width, CHANNELS[header.colour_type]), dtype=np.uint16)
    pixel_bytes = 2 * samples.shape[2]
    passes = [part for part in _passes(samples, interlaced=header.interlaced) if part.size]
    sizes = [len(part) * (1 + part.shape[1] * pixel_bytes) for part in passes]
    target = np.zeros(sum(sizes), dtype=np.uint8)
    inflater, filled = zlib.decompressobj(), 0
    others: dict[bytes, bytes] = {}
    stream.seek(8)
    for kind, body in _chunks(stream, name):
        if kind != b"IDAT":
            others.setdefault(kind, body)
            continue
        for start in range(0, len(body), PIECE):
            if filled == target.size:
                break  # more data than pixels is ignored, as other readers do
            try:
                piece = inflater.decompress(body[start : start + PIECE], target.size - filled)
            except zlib.error as error:
                raise InputError(_damaged(name, str(error))) from None
            target[filled : filled + len(piece)] = np.frombuffer(piece, dtype=np.uint8)
            filled += len(piece)
    if filled < target.size:
        raise InputError(_damaged(name, f"{filled} of {target.size} bytes of pixels are there"))
    for part, stop in zip(passes, np.cumsum(sizes), strict=True):
        raw = target[stop - len(part) * (1 + part.shape[1] * pixel_bytes) : stop].reshape(len(part), -1)
        if raw[:, 0].max() > PAETH:
            raise InputError(_damaged(name, f"filter type {raw[:, 0].max()} does not exist"))
        unfilter(raw, pixel_bytes)
        part[:] = np.ascontiguousarray(raw[:, 1:]).view(">u2").reshape(part.shape)
    key = others.get(b"tRNS", b"")
    n_key = {0: 1, 2: 3}.get(header.colour_type, 0)
    frames = others.get(b"acTL", b"")
    return Decoded(
        samples=samples,
        transparent=struct.unpack(f">{n_key}H", key) if n_key and len(key) == 2 * n_key else None,
        exif=others.get(b"eXIf", b""),
        profile=_profile(others.get(b"iCCP", b"")),
        n_frames=struct.unpack(">I", frames[:4])[0] if len(frames) == 8 else 1,
    )


def _passes(samples: np.ndarray, *, interlaced: bool) -> Iterator[np.ndarray]:
    """Views of the pixels in the order of the file, each filtered by itself; a small image has empty ones."""
    for top, left, down, right in ADAM7 if interlaced else ((0, 0, 1, 1),):
        yield samples[top::down, left::right]


def _profile(body: bytes) -> bytes:
    """The ICC profile of an iCCP chunk (11.3.2.3): name, two zero bytes, deflated data; empty if damaged."""
    try:
        return zlib.decompressobj().decompress(body.partition(b"\0")[2][1:], PIECE)
    except zlib.error:
        return b""


def _chunks(stream: BinaryIO, name: str) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of every chunk up to IEND (5.3), checksums verified."""
    start = stream.tell()
    size = stream.seek(0, 2)
    stream.seek(start)
    while True:
        head = stream.read(8)
        if not head:
            return  # IEND alone is missing; whether the pixels are complete is for the caller
        length = int.from_bytes(head[:4], "big")
        if len(head) < 8 or stream.tell() + length + 4 > size:
            raise InputError(_damaged(name, "the file ends in the middle of a chunk"))
        body, checksum = stream.read(length), stream.read(4)
        if zlib.crc32(body, zlib.crc32(head[4:])) != int.from_bytes(checksum, "big"):
            raise InputError(_damaged(name, f"wrong checksum of chunk {head[4:].decode('ascii', 'replace')}"))
        if head[4:] == b"IEND":
            return
        yield head[4:], body


def _damaged(name: str, what: str) -> str:
    return f"{name}: truncated or damaged PNG file ({what}); fetch or export it again"


def unfilter(raw: np.ndarray, pixel_bytes: int) -> None:
    """Undo the row filters (9.2) in place.

    Rows that only add the pixel to the left or above are summed row by row. The two predictors that look both
    ways run along anti-diagonals, on which no pixel depends on another: pixel (r, t - r) for all r at once.

    Args:
        raw: uint8 (h, 1 + w pixel_bytes): a filter type and the filtered bytes per row; the bytes become
            samples, the types stay.
        pixel_bytes: Bytes per pixel.
    """
    kinds = raw[:, 0].copy()
    kinds[0] = {UP: NONE, PAETH: SUB}.get(int(kinds[0]), int(kinds[0]))  # above the first row is zero
    if raw.shape[1] == 1 + pixel_bytes:  # left of the only column is zero
        kinds[kinds == PAETH] = UP
    if kinds.max() >= AVERAGE:
        _unfilter_diagonals(raw, kinds, pixel_bytes)
        return
    for r in np.flatnonzero(kinds != NONE):
        row = raw[r, 1:]
        if kinds[r] == UP:
            row += raw[r - 1, 1:]
        else:
            pixels = row.reshape(-1, pixel_bytes)
            np.add.accumulate(pixels, axis=0, dtype=np.uint8, out=pixels)


def _unfilter_diagonals(raw: np.ndarray, kinds: np.ndarray, pixel_bytes: int) -> None:
    height, row_bytes = raw.shape
    width = (row_bytes - 1) // pixel_bytes
    column = kinds[:, None]
    is_sub, is_up, is_average, is_paeth = (column == kind for kind in (SUB, UP, AVERAGE, PAETH))
    # The last two diagonals by row, shifted by one: entry r + 1 is row r, entry 0 the zeros above the image.
    # A row not yet begun is zero, which is also what lies to its left.
    before = np.zeros((height + 1, pixel_bytes), dtype=np.int16)
    last = np.zeros_like(before)
    for t in range(height + width - 1):
        first, stop = max(0, t - width + 1), min(height, t + 1)
        rows = slice(first, stop)
        diagonal: np.ndarray = np.ndarray(
            (stop - first, pixel_bytes),
            dtype=np.uint8,
            buffer=raw.data,
            offset=first * row_bytes + 1 + (t - first) * pixel_bytes,
            strides=(row_bytes - pixel_bytes, 1),
        )
        left, above, corner = last[first + 1 : stop + 1], last[rows], before[rows]
        guess = np.where(is_paeth[rows], _paeth(left, above, corner), 0)
        np.copyto(guess, (left + above) >> 1, where=is_average[rows])
        np.copyto(guess, left, where=is_sub[rows])
        np.copyto(guess, above, where=is_up[rows])
        diagonal += guess.astype(np.uint8)  # both wrap at 256, as they shall
        before, last = last, before
        last[first + 1 : stop + 1] = diagonal


def _paeth(left: np.ndarray, above: np.ndarray, corner: np.ndarray) -> np.ndarray:
    """The neighbour nearest to left + above - corner; ties in the order left, above, corner (9.4). int16."""
    to_left, to_above = above - corner, left - corner
    to_corner = np.abs(to_left + to_above)
    to_left, to_above = np.abs(to_left), np.abs(to_above)
    return np.where(
        (to_left <= to_above) & (to_left <= to_corner), left, np.where(to_above <= to_corner, above, corner)
    )


def encode(samples: np.ndarray) -> bytes:
    """Encode 16-bit samples, each row with the filter whose residuals are smallest (12.7).

    Args:
        samples: uint16 (h, w, c) with c = 1 grey, 2 grey + alpha, 3 RGB or 4 RGBA.

    Returns:
        The bytes of a PNG file; the same for the same samples.
    """
    height, width, channels = samples.shape
    rows = max(1, PIECE // (2 * width * channels))
    bands = (samples[top : top + rows] for top in range(0, height, rows))
    return b"".join(encode_bands(bands, samples.shape, bit_depth=16))


def encode_bands(
    bands: Iterable[np.ndarray], shape: tuple[int, int, int], *, bit_depth: int
) -> Iterator[bytes]:
    """Encode an image that comes in bands of rows, and is never in memory whole.

    Args:
        bands: uint8 or uint16 (rows, w, c) with c as for `encode`, from the top.
        shape: (h, w, c) of the whole.
        bit_depth: 8 or 16.

    Yields:
        The bytes of a PNG file, piece by piece; the same for the same samples, however they are cut.
    """
    height, width, channels = shape
    colour_type = next(kind for kind, n in CHANNELS.items() if n == channels)
    yield SIGNATURE
    yield chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bit_depth, colour_type, 0, 0, 0))
    deflater = zlib.compressobj(6)
    above = np.zeros((1, width * channels * bit_depth // 8), dtype=np.uint8)
    body = b""
    for band in bands:
        rows = band.astype(f">u{bit_depth // 8}", order="C").reshape(len(band), -1).view(np.uint8)
        body += deflater.compress(_filtered(rows, above, channels * bit_depth // 8))
        above = rows[-1:]
        while len(body) >= PIECE:
            yield chunk(b"IDAT", body[:PIECE])
            body = body[PIECE:]
    body += deflater.flush()
    for start in range(0, len(body), PIECE):
        yield chunk(b"IDAT", body[start : start + PIECE])
    yield chunk(b"IEND", b"")


def chunk(kind: bytes, body: bytes) -> bytes:
    """One chunk (5.3): length, kind, body and checksum.

    Args:
        kind: Four letters.
        body: Content.

    Returns:
        The bytes of the chunk.
    """
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))


def _filtered(here: np.ndarray, first_above: np.ndarray, pixel_bytes: int) -> bytes:
    """Filter types and residuals of rows, uint8 (rows, bytes), below the row (1, bytes)."""
    above = np.concatenate([first_above, here[:-1]])
    left, corner = np.zeros_like(here), np.zeros_like(here)
    left[:, pixel_bytes:], corner[:, pixel_bytes:] = here[:, :-pixel_bytes], above[:, :-pixel_bytes]
    average = (left.astype(np.uint16) + above) >> 1
    paeth = _paeth(*(part.astype(np.int16) for part in (left, above, corner)))
    guesses = (np.zeros_like(here), left, above, average.astype(np.uint8), paeth.astype(np.uint8))
    residuals = np.stack([here - guess for guess in guesses])  # (5, rows, bytes), modulo 256
    cost = np.abs(residuals.view(np.int8).astype(np.int16)).sum(axis=2, dtype=np.int64)
    best = cost.argmin(axis=0)
    lines = residuals[best, np.arange(len(best))]
    return np.concatenate([best[:, None].astype(np.uint8), lines], axis=1).tobytes()
