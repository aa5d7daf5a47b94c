"""TIFF into pixels: grey, RGB, palette and CMYK, integer or float, by way of tifffile."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np
import tifffile

from lrnn_cli.errors import InputError
from lrnn_cli.signals.image_pixels import RGB, Pixels, profile_note, remark_note, unit, upright, upright_note
from lrnn_cli.signals.image_source import check_pixels, decoding

ORIENTATION, PROFILE = 274, 34675  # tags
_COLOURS = tifffile.PHOTOMETRIC
_ALPHA = {1: "Apre", 2: "A"}  # extra samples: associated (premultiplied) and unassociated alpha


def read_tiff(stream: BinaryIO, name: str, max_pixels: int) -> Pixels:
    """Decode the first page of a TIFF file.

    Unsigned integers of up to 16 bits are divided by their largest value; float and all other integers are
    kept as stored in float32. The size is checked in the header, before anything is decoded.

    Args:
        stream: The file, seekable, at its beginning.
        name: File name for messages.
        max_pixels: Largest number of pixels allowed.

    Returns:
        The pixels, upright, white bright; palette and CMYK converted.
    """
    with decoding("TIFF", name) as remarks, tifffile.TiffFile(stream) as file:
        page: Any = file.pages[0]
        check_pixels(page.imagewidth, page.imagelength, max_pixels, name)
        _check_layout(page, max_pixels, name)
        n_pages = max(len(file.pages), int((file.imagej_metadata or {}).get("images", 1)))
        samples = _decode(page, name)
        orientation = page.tags[ORIENTATION].value if ORIENTATION in page.tags else 1
        notes = [f"holds {n_pages} pages; only the first is read"] if n_pages > 1 else []
        as_float = page.dtype.kind in "if" or page.bitspersample > 16
        pixels = (_read_floats if as_float else _read_integers)(page, samples, name)
        profile = bytes(page.tags[PROFILE].value) if PROFILE in page.tags else b""
    pixels.values = upright(pixels.values, orientation)
    pixels.notes = [
        *notes,
        *pixels.notes,
        *upright_note(orientation),
        *profile_note(profile),
        *remark_note("TIFF", remarks),
    ]
    return pixels


def _check_layout(page: Any, max_pixels: int, name: str) -> None:
    """Refuse what is no single image of grey, RGB, palette or CMYK."""
    colour = page.photometric
    known = (_COLOURS.MINISWHITE, _COLOURS.MINISBLACK, _COLOURS.RGB, _COLOURS.PALETTE, _COLOURS.SEPARATED)
    if page.axes not in ("YX", "YXS", "SYX"):
        raise InputError(f"{name}: a TIFF page with axes {page.axes} is no image; save one slice")
    if colour not in known:
        what = getattr(colour, "name", colour)
        raise InputError(f"{name}: TIFF colour space {what} is not supported; convert it to grey or RGB")
    if page.dtype is None or page.dtype.kind not in "buif" or not isinstance(page.bitspersample, int):
        what = page.dtype or f"{page.bitspersample} bits"
        raise InputError(
            f"{name}: TIFF samples of {what} are not supported; convert it to 8, 16 or float 32 bits"
        )
    least = {_COLOURS.RGB: 3, _COLOURS.SEPARATED: 4}.get(colour, 1)
    if page.samplesperpixel < least or (colour == _COLOURS.PALETTE and page.samplesperpixel > 1):
        what = f"samples per pixel {page.samplesperpixel}, colour space {colour.name}"
        raise InputError(f"{name}: the TIFF header contradicts itself ({what}); export the file again")
    n_values = page.imagewidth * page.imagelength * page.samplesperpixel
    if n_values > 4 * max_pixels:
        raise InputError(
            f"{name}: {page.imagewidth}x{page.imagelength} pixels of {page.samplesperpixel} channels are "
            f"more than 4 x max_pixels={max_pixels} values; raise image.max_pixels in --config, or shrink it"
        )


def _decode(page: Any, name: str) -> np.ndarray:
    """The samples as stored, (h, w, c)."""
    try:
        samples = np.asarray(page.asarray(maxworkers=1))
    except Exception as error:
        if "imagecodecs" not in str(error) and not isinstance(error, ImportError | NotImplementedError):
            raise
        coding = f"compression {getattr(page.compression, 'name', page.compression)}"
        if page.predictor != 1:
            coding += f" with predictor {getattr(page.predictor, 'name', page.predictor)}"
        raise InputError(
            f"{name}: TIFF {coding} and {page.bitspersample} bits need a codec that is not installed; "
            "run 'pip install imagecodecs', or save it uncompressed or with Deflate at 8 or 16 bits"
        ) from error
    if page.axes == "YX":
        return samples[..., None]
    return np.moveaxis(samples, 0, -1) if page.axes == "SYX" else samples


def _channels(base: list[str], page: Any, n_channels: int) -> tuple[list[str], list[str]]:
    """Names of all channels, and a note where alpha is premultiplied."""
    kinds = [*(int(kind) for kind in page.extrasamples), *[0] * n_channels]
    extra = [_ALPHA.get(kind, f"X{k}") for k, kind in enumerate(kinds[: n_channels - len(base)], 1)]
    notes = ["its alpha is premultiplied; colours are kept as stored"] if "Apre" in extra else []
    return base + extra, notes


def _read_integers(page: Any, samples: np.ndarray, name: str) -> Pixels:
    """Unsigned integers of at most 16 bits."""
    bits, notes, base = page.bitspersample, [], ["L"]
    top = 2**bits - 1
    samples = samples.astype(np.uint8 if bits <= 8 else np.uint16, copy=False)
    if bits not in (8, 16):
        notes.append(f"{bits}-bit samples converted to {8 * samples.itemsize} bits")
    if page.photometric == _COLOURS.MINISWHITE:
        samples = samples.copy()
        samples[..., 0] = top - samples[..., 0]
        notes.append("white was stored as zero; inverted")
    elif page.photometric == _COLOURS.PALETTE:
        if page.colormap is None or page.colormap.shape != (3, top + 1):
            raise InputError(f"{name}: the TIFF palette is missing or damaged; export it again as RGB")
        table, top = _palette(page.colormap)
        samples, base = table[samples[..., 0]], RGB
        notes = ["palette converted to RGB"]
    elif page.photometric == _COLOURS.SEPARATED:
        ink = top - samples[..., :4].astype(np.uint32)
        rgb = (ink[..., :3] * ink[..., 3:] + top // 2) // top  # R = (1 - C) (1 - K), rounded
        samples, base = np.concatenate([rgb.astype(samples.dtype), samples[..., 4:]], axis=2), RGB
        notes.append("CMYK converted to RGB without a colour profile")
    elif page.photometric == _COLOURS.RGB:
        base = RGB
    channels, alpha_notes = _channels(base, page, samples.shape[2])
    return Pixels(unit(samples, top), channels, str(samples.dtype), notes + alpha_notes)


def _palette(colormap: np.ndarray) -> tuple[np.ndarray, int]:
    """The colour table (entries, 3) and its largest value; 8 bits if the entries are scaled 8-bit values."""
    table = np.ascontiguousarray(colormap.T)
    for scale in (257, 256):
        if not np.any(table % scale):
            return (table // scale).astype(np.uint8), 255
    if table.max() <= 255:  # written unscaled by some programs
        return table.astype(np.uint8), 255
    return table.astype(np.uint16), 65535


def _read_floats(page: Any, samples: np.ndarray, name: str) -> Pixels:
    """Float samples, and integers that are signed or longer than 16 bits."""
    if page.photometric in (_COLOURS.PALETTE, _COLOURS.SEPARATED):
        what = f"{page.photometric.name} with samples of {page.dtype}"
        raise InputError(f"{name}: TIFF colour space {what} is not supported; convert it to RGB")
    notes = []
    if page.dtype != np.float32:
        loss = "" if page.dtype.itemsize <= 2 else ", which keeps 24 bits"
        notes.append(f"{page.dtype} samples kept as stored, in float32{loss}")
    if page.photometric == _COLOURS.MINISWHITE:
        notes.append("white is stored as zero; kept as stored")
    with np.errstate(over="ignore"):  # float64 beyond float32 is infinite and reported as such
        values = samples.astype(np.float32)
    base = RGB if page.photometric == _COLOURS.RGB else ["L"]
    channels, alpha_notes = _channels(base, page, values.shape[2])
    return Pixels(values, channels, "float32", notes + alpha_notes)
