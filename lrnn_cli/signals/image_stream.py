"""Images larger than memory: written band by band as PNG or TIFF, whole in the other containers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import numpy as np
import tifffile

from lrnn_cli.errors import ConfigError
from lrnn_cli.signals import png16
from lrnn_cli.signals.image_write import check_image, encode_samples, quantise, tiff_layout

PIECE_BYTES = 2**20  # of samples that are filtered and compressed at a time
STREAMED = ("PNG", "TIFF")
LARGEST_WHOLE = 2**28  # pixels of an image in a container that is not streamed
LARGEST = 2**36  # pixels at all: a slip of the finger shall not fill the disk
_ZLIB_LEVEL = 6


def check_size(height: int, width: int, *, container: str) -> None:
    """Refuse sizes that are no image any more, or too large for a container that is encoded in memory.

    Args:
        height: Rows.
        width: Pixels per row.
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".

    Raises:
        ConfigError: If there are no pixels, or too many.
    """
    pixels = height * width
    if min(height, width) < 1:
        raise ConfigError(f"size: expected at least 1x1 pixels, got {width}x{height}")
    if container not in STREAMED and pixels > LARGEST_WHOLE:
        raise ConfigError(
            f"{container} files of more than {LARGEST_WHOLE} pixels are not written, "
            f"got {width}x{height} = {pixels}; write PNG or TIFF"
        )
    if pixels > LARGEST:
        raise ConfigError(
            f"size: expected at most {LARGEST} pixels, got {width}x{height} = {pixels}; "
            "draw a part with --region"
        )


def write_image(
    stream: BinaryIO,
    bands: Iterable[np.ndarray],
    shape: tuple[int, int, int],
    *,
    container: str,
    dtype: str,
    channels: Sequence[str] | None = None,
) -> None:
    """Write an image that comes in bands of rows; see `encode_image` for the meaning of the values.

    PNG and TIFF need the memory of a band, the other containers that of all samples in `dtype`, and while
    they are encoded about three times that.

    Args:
        stream: A file open for writing; TIFF needs one that can seek.
        bands: float32 (rows, w, c) from the top.
        shape: (h, w, c) of the whole.
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF".
        dtype: "uint8", "uint16" or "float32".
        channels: Names of the channels as for `encode_image`.

    Raises:
        ConfigError: If the container cannot hold such an image.
    """
    height, width, n_channels = shape
    check_image(shape, container=container, dtype=dtype)
    check_size(height, width, container=container)
    row_bytes = width * n_channels * np.dtype(dtype).itemsize
    rows = max(1, min(height, PIECE_BYTES // row_bytes))
    pieces = _in_pieces((quantise(band, dtype) for band in bands), rows)
    if container == "PNG":
        for part in png16.encode_bands(pieces, shape, bit_depth=8 * np.dtype(dtype).itemsize):
            stream.write(part)
    elif container == "TIFF":
        tifffile.imwrite(
            stream,
            (
                zlib.compress(piece.astype(f"<{piece.dtype.str[1:]}").tobytes(), _ZLIB_LEVEL)
                for piece in pieces
            ),
            shape=shape if n_channels > 1 else shape[:2],
            dtype=dtype,
            rowsperstrip=rows,
            **tiff_layout(n_channels, channels),
        )
    else:
        whole = np.empty(shape, dtype=dtype)
        top = 0
        for piece in pieces:
            whole[top : top + len(piece)] = piece
            top += len(piece)
        stream.write(encode_samples(whole, container=container, channels=channels))


def _in_pieces(bands: Iterable[np.ndarray], rows: int) -> Iterator[np.ndarray]:
    """Cut bands anew so that every piece but the last has this number of rows."""
    kept: list[np.ndarray] = []
    n_kept = 0
    for band in bands:
        start = 0
        while n_kept + len(band) - start >= rows:
            stop = start + rows - n_kept
            yield np.concatenate([*kept, band[start:stop]])
            kept, n_kept, start = [], 0, stop
        if start < len(band):
            kept.append(band[start:])
            n_kept += len(band) - start
    if kept:
        yield np.concatenate(kept)
