"""PNG, JPEG, WebP and BMP into pixels. Pillow decodes all but 16-bit PNG."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import numpy as np
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

from lrnn_cli.signals import png16
from lrnn_cli.signals.image_pixels import RGB, Pixels, profile_note, remark_note, unit, upright, upright_note
from lrnn_cli.signals.image_source import HEAD, check_pixels, decoding

ORIENTATION = 0x0112  # EXIF tag
# The classes behind Image.open: they read the header and no more, and the limit on pixels is ours.
_OPENERS: dict[str, Callable[[BinaryIO], Image.Image]] = {
    "PNG": PngImagePlugin.PngImageFile,
    "JPEG": JpegImagePlugin.jpeg_factory,
    "WebP": WebPImagePlugin.WebPImageFile,
    "BMP": BmpImagePlugin.BmpImageFile,
}
_CHANNELS = {"L": ["L"], "LA": ["L", "A"], "RGB": RGB, "RGBA": [*RGB, "A"]}


def read_raster(stream: BinaryIO, container: str, name: str, max_pixels: int) -> Pixels:
    """Decode a PNG, JPEG, WebP or BMP file.

    Damaged files, files without pixels and files with too many raise `InputError`; the size is checked in the
    header, before anything is decoded.

    Args:
        stream: The file, seekable, at its beginning.
        container: "PNG", "JPEG", "WebP" or "BMP".
        name: File name for messages.
        max_pixels: Largest number of pixels allowed.

    Returns:
        The pixels, upright; palette, CMYK and 1-bit images converted.
    """
    head = stream.read(HEAD)
    stream.seek(0)
    header = png16.read_header(head, name) if container == "PNG" else None
    size = (header.width, header.height) if header else _declared_size(container, head)
    if size:
        check_pixels(*size, max_pixels, name)
    if header and header.bit_depth == 16:
        return _read_png16(stream, name)
    with decoding(container, name) as remarks:
        image = _OPENERS[container](stream)
        check_pixels(*image.size, max_pixels, name)
        image.load()
        depth = header.bit_depth if header and header.colour_type == 0 else 8
        if depth in (2, 4) and "transparency" in image.info:
            image.info["transparency"] *= 255 // (2**depth - 1)  # Pillow scales the pixels but not this one
        n_frames = int(getattr(image, "n_frames", 1))
        orientation, exif_notes = _orientation(image.getexif)
        profile = image.info.get("icc_profile") or b""
        samples, channels, notes = _samples(image)
    notes = [*_frames_note(n_frames), *notes, *exif_notes, *upright_note(orientation), *profile_note(profile)]
    if depth in (2, 4):
        notes.append(f"{depth}-bit samples converted to 8 bits")
    return _pixels(upright(samples, orientation), channels, notes + remark_note(container, remarks))


def _declared_size(container: str, head: bytes) -> tuple[int, int] | None:
    """Width and height from the header, where Pillow would allocate or fail before telling them."""
    if container == "BMP":
        if head[14:18] == b"\x0c\0\0\0":
            return int.from_bytes(head[18:20], "little"), int.from_bytes(head[20:22], "little")
        width, height = (int.from_bytes(head[k : k + 4], "little", signed=True) for k in (18, 22))
        return width, abs(height)  # negative: top row first
    if container == "WebP" and len(head) >= 30:
        if head[12:16] == b"VP8X":
            return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
        if head[12:16] == b"VP8L":
            bits = int.from_bytes(head[21:25], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if head[12:16] == b"VP8 ":
            return tuple(int.from_bytes(head[k : k + 2], "little") & 0x3FFF for k in (26, 28))  # type: ignore[return-value]
    return None


def _orientation(getexif: Callable[[], Image.Exif]) -> tuple[int, list[str]]:
    try:
        value = getexif().get(ORIENTATION, 1)
    except Exception:  # a broken EXIF block is no reason to refuse good pixels
        return 1, ["its EXIF block is damaged and was ignored"]
    return (value if isinstance(value, int) and 1 <= value <= 8 else 1), []


def _samples(image: Image.Image) -> tuple[np.ndarray, list[str], list[str]]:
    """Samples (h, w, c) as uint8 or uint16, the channels and what was converted."""
    mode, key = image.mode, image.info.get("transparency")
    notes = []
    if mode == "1":
        image = image.convert("L" if key is None else "LA")
        notes.append("1-bit samples converted to 8 bits")
    elif mode in ("P", "PA"):
        image = image.convert("RGB" if key is None and mode == "P" else "RGBA")
        notes.append(f"palette converted to {image.mode}")
    elif mode in ("L", "RGB") and key is not None:
        image = image.convert("LA" if mode == "L" else "RGBA")
        notes.append("its transparent colour converted to an alpha channel")
    elif mode not in _CHANNELS:
        image = image.convert("RGB")
        notes.append(f"{mode} converted to RGB without a colour profile")
    samples = np.asarray(image)
    return samples.reshape(*samples.shape[:2], -1), list(_CHANNELS[image.mode]), notes


def _with_key(
    samples: np.ndarray, channels: list[str], key: tuple[int, ...] | None
) -> tuple[np.ndarray, list[str], list[str]]:
    """Append an alpha channel that is 0 where all channels equal the key, if there is a key."""
    if key is None:
        return samples, channels, []
    alpha = np.where((samples == np.array(key, dtype=np.uint16)).all(axis=2), 0, 65535).astype(np.uint16)
    notes = ["its transparent colour converted to an alpha channel"]
    return np.concatenate([samples, alpha[..., None]], axis=2), [*channels, "A"], notes


def _read_png16(stream: BinaryIO, name: str) -> Pixels:
    decoded = png16.decode(stream, name)
    with decoding("EXIF", name) as remarks:
        orientation, exif_notes = _orientation(lambda: _exif(decoded.exif))
    channels = _CHANNELS[{1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[decoded.samples.shape[2]]]
    samples, channels, notes = _with_key(decoded.samples, list(channels), decoded.transparent)
    notes = [*_frames_note(decoded.n_frames), *notes, *exif_notes, *upright_note(orientation)]
    notes += [*profile_note(decoded.profile), *remark_note("EXIF", remarks)]
    return _pixels(upright(samples, orientation), channels, notes)


def _exif(block: bytes) -> Image.Exif:
    exif = Image.Exif()
    exif.load(block)
    return exif


def _frames_note(n_frames: int) -> list[str]:
    return [f"holds {n_frames} frames; only the first is read"] if n_frames > 1 else []


def _pixels(samples: np.ndarray, channels: list[str], notes: list[str]) -> Pixels:
    return Pixels(unit(samples, np.iinfo(samples.dtype).max), channels, str(samples.dtype), notes)
