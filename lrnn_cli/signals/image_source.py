"""From the name of an image to an open stream of a known container.

The first bytes tell the container, never the name. Every message is one line: file, what, what to do.
"""

from __future__ import annotations

import hashlib
import io
import logging
import stat
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from PIL.Image import DecompressionBombError

from lrnn_cli.errors import InputError, LrnnError

CONTAINERS = ("PNG", "JPEG", "WebP", "BMP", "TIFF")
SUPPORTED = "PNG, JPEG, WebP, BMP or TIFF"
HEAD = 512  # bytes that are looked at to tell the container

_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)
_FOREIGN = (  # first bytes and the name of what is not supported
    (b"GIF8", "GIF"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"8BPS", "Photoshop"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\0\0\1\0", "ICO"),
    (b"SIMPLE  =", "FITS"),
    (b"\x93NUMPY", "NumPy"),
    (b"\x89HDF", "HDF5"),
    (b"PK\x03\x04", "ZIP"),
    (b"\x1f\x8b", "gzip"),
    (b"fLaC", "FLAC audio"),
    (b"OggS", "Ogg audio"),
    (b"ID3", "MP3 audio"),
)
_quiet_lock = threading.Lock()


def one_line(text: object, limit: int = 200) -> str:
    """Text from elsewhere, made fit for one line of a terminal.

    Args:
        text: A file name or the message of a library.
        limit: Longest result in characters.

    Returns:
        The text without line breaks, control characters and undecodable bytes, cut at the limit.
    """
    safe = str(text).encode("utf-8", "backslashreplace").decode()
    safe = " ".join("".join(c if c.isprintable() else " " for c in safe).split()) or "(no name)"
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"


@contextmanager
def open_source(source: str | Path, data: bytes | None, what: str = "image file") -> Iterator[BinaryIO]:
    """Open a file, or bytes that are already here, for reading and seeking.

    Args:
        source: Path of the file; with `data` only the name to show.
        data: The content, if the caller has read it (standard input).
        what: What the file should be, for messages.

    Yields:
        A seekable stream at its beginning, not empty.

    Raises:
        InputError: If there is nothing to read or it may not be read.
    """
    name = one_line(source, 4096)
    if data is None and str(source) == "-":
        raise InputError("-: standard input was not read; hand over its bytes, or name a file")
    if data is not None:
        stream: BinaryIO = io.BytesIO(data)
    else:
        try:
            stream = _open_file(Path(source), name, what)
        except FileNotFoundError:
            raise InputError(f"{name}: no such file; check the path") from None
        except PermissionError:
            raise InputError(f"{name}: no permission to read it; change its mode or owner") from None
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InputError(f"{name}: cannot be opened ({one_line(reason)}); check the path") from None
    with stream:
        try:
            is_empty = not stream.read(1)
        except OSError as error:
            reason = one_line(error.strerror or error)
            raise InputError(f"{name}: cannot be read ({reason}); check the disk or copy it anew") from error
        if is_empty:
            raise InputError(f"{name}: the file is empty (0 bytes); fetch or export it again")
        stream.seek(0)
        yield stream


def _open_file(path: Path, name: str, what: str) -> BinaryIO:
    """Open a regular file, or read a pipe to its end."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise InputError(f"{name}: is a directory; name one {what}")
    if stat.S_ISFIFO(mode):  # process substitution; cannot seek
        return io.BytesIO(path.read_bytes())
    if not stat.S_ISREG(mode):
        raise InputError(f"{name}: is a device or a socket; name {_article(what)}")
    return path.open("rb")


def _article(what: str) -> str:
    return f"{'an' if what[0] in 'aeiou' else 'a'} {what}"


def digest(stream: BinaryIO, name: str) -> str:
    """SHA-256 of all bytes; also the first time that all of them are read.

    Args:
        stream: The file, seekable, at its beginning, where it is left again.
        name: File name for the message.

    Returns:
        64 hexadecimal digits.

    Raises:
        InputError: If the disk or the network fails.
    """
    result = hashlib.sha256()
    try:
        while block := stream.read(2**20):
            result.update(block)
        stream.seek(0)
    except OSError as error:
        reason = one_line(error.strerror or error)
        raise InputError(
            f"{name}: cannot be read to its end ({reason}); check the disk or copy it anew"
        ) from error
    return result.hexdigest()


def sniff(head: bytes, name: str) -> str:
    """Tell the container from the first bytes.

    Args:
        head: The first `HEAD` bytes, or all there are.
        name: File name for the message.

    Returns:
        One of `CONTAINERS`.

    Raises:
        InputError: If it is none of them; the message names what it is where that is known.
    """
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head.startswith(_TIFF_MAGIC) and head[128:132] != b"DICM":  # some files are both
        return "TIFF"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "BMP"
    raise InputError(f"{name}: {_foreign(head)}; give a {SUPPORTED} file")


def _foreign(head: bytes) -> str:
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            return f"{what} files are not supported as images"
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "WAV audio files are not supported as images"
    if head[4:8] == b"ftyp":
        brand = {b"avif": "AVIF", b"heic": "HEIC", b"mif1": "HEIF"}.get(head[8:12], "MP4")
        return f"{brand} files are not supported as images"
    if head[128:132] == b"DICM":
        return "DICOM files are not supported as images"
    if head.lstrip()[:4] in (b"<svg", b"<?xm"):
        return "SVG and other XML files are not supported as images"
    if head[:1] == b"P" and head[1:2] in b"1234567" and head[2:3].isspace():
        return "PNM files are not supported as images"
    if is_text(head):
        return "holds text, not an image"
    return "not an image of a known format"


def is_text(head: bytes) -> bool:
    """Tell whether this is UTF-8 without control characters; the last character may be cut."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.reason != "unexpected end of data":
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\t\n\r\f\ufeff" for letter in text)


def check_pixels(width: int, height: int, max_pixels: int, name: str) -> None:
    """Refuse images without pixels or with too many, before anything is decoded.

    Args:
        width: Pixels per row, from the header.
        height: Rows, from the header.
        max_pixels: Largest number of pixels allowed.
        name: File name for the message.

    Raises:
        InputError: If there are none or more than `max_pixels`.
    """
    if width < 1 or height < 1:
        raise InputError(f"{name}: has no pixels ({width}x{height}); fetch or export it again")
    if width * height > max_pixels:
        raise InputError(
            f"{name}: {width}x{height} = {width * height} pixels are more than max_pixels={max_pixels}; "
            "raise image.max_pixels in --config if you trust the file, or shrink it first"
        )


@contextmanager
def decoding(container: str, name: str) -> Iterator[list[str]]:
    """Run a foreign decoder: its failures become one line, its warnings and log lines are collected.

    One decoder runs at a time, because Python's warning filters belong to the whole process.

    Args:
        container: What is being decoded, for the message.
        name: File name for the message.

    Yields:
        A list that holds the remarks of the library once the block is left.

    Raises:
        InputError: If the decoder fails in any way; errors of this project and a lack of memory pass through.
    """
    remarks: list[str] = []
    log, handler = logging.getLogger("tifffile"), _Collector(remarks)
    with _quiet_lock, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        propagate, log.propagate = log.propagate, False
        log.addHandler(handler)
        try:
            yield remarks
        except DecompressionBombError as error:
            raise InputError(
                f"{name}: too large for the {container} decoder ({one_line(error)}); shrink it"
            ) from error
        except Exception as error:  # whatever a decoder makes of a broken file
            if isinstance(error, LrnnError | MemoryError):
                raise
            reason = one_line(error) if str(error) else type(error).__name__
            raise InputError(
                f"{name}: cannot be decoded as {container} ({reason}); the file is damaged or incomplete, "
                "fetch or export it again"
            ) from error
        finally:
            log.removeHandler(handler)
            log.propagate = propagate
            remarks.extend(one_line(entry.message) for entry in caught)


class _Collector(logging.Handler):
    """Keeps log messages instead of showing them."""

    def __init__(self, messages: list[str]) -> None:
        super().__init__()
        self.messages = messages

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(one_line(record.getMessage()))
