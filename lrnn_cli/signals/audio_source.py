"""From the bytes of a sound file to its container, and whether the file is whole.

The first bytes tell the container, never the name. libsndfile reads a cut WAV or AIFF file without a word,
so the lengths in the headers are compared with the file here. Every message is one line: file, what, what to
do.

Source: Microsoft and IBM, Multimedia Programming Interface and Data Specifications 1.0 (RIFF); EBU Tech 3306
(RF64); Apple, Audio Interchange File Format 1.3; RFC 3533 (Ogg); RFC 9639 (FLAC).
"""

from __future__ import annotations

import struct
from typing import BinaryIO

from lrnn_cli.errors import InputError
from lrnn_cli.signals.image_source import is_text

SUPPORTED = "WAV, FLAC, OGG, Opus, MP3 or AIFF"
LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 1, 10_000_000
UNKNOWN_LENGTHS = ((0x7FFFF000, 0x80000000), (0xFFFFF000, 0xFFFFFFFF))  # what programs write into a pipe
CONVERT = "convert it first, for example: ffmpeg -i FILE sound.wav"

_FOREIGN = (  # offset, first bytes, name
    (0, b"\x30\x26\xb2\x75", "WMA"),
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"#!AMR", "AMR"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM"),
    (0, b"MThd", "MIDI"),
    (0, b"DSD ", "DSD"),
    (4, b"ftyp", "M4A or MP4"),
    (0, b"ADIF", "AAC"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"\x89PNG", "PNG image"),
    (0, b"\xff\xd8\xff", "JPEG image"),
    (0, b"%PDF", "PDF"),
    (0, b"PK\x03\x04", "ZIP"),
    (0, b"\x1f\x8b", "gzip"),
    (0, b"\x89HDF", "HDF5"),
    (0, b"\x93NUMPY", "NumPy"),
)


def check_container(stream: BinaryIO, name: str) -> list[str]:
    """Refuse what is no sound, and sound that is cut short.

    Args:
        stream: the file, seekable, at its beginning, where it is left again.
        name: file name for the message.

    Returns:
        sentences for the user about what the header leaves open.

    Raises:
        InputError: when the content is foreign, or announces more than the file holds.
    """
    head = stream.read(512)
    stream.seek(0, 2)
    size = stream.tell()
    try:
        if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64"):
            return _check_riff(stream, head, size, name)
        if head[:4] == b"FORM":
            _check_length(struct.unpack(">I", head[4:8].ljust(4, b"\0"))[0] + 8, size, name)
        elif head[:4] == b"OggS":
            return _check_ogg(stream, size, name)
        elif head[:4] == b"fLaC":
            _check_flac(head, name)
        else:
            _refuse_foreign(head, name)
        return []
    finally:
        stream.seek(0)


def check_rate(rate_hz: int, name: str) -> None:
    """Refuse sample rates that no recording has.

    Raises:
        InputError: when the rate is not within 1 Hz and 10 MHz.
    """
    if not LOWEST_RATE_HZ <= rate_hz <= HIGHEST_RATE_HZ:
        raise InputError(
            f"{name}: sample rate {rate_hz} Hz in the header, "
            f"expected {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}; "
            "the header is wrong, write the file anew"
        )


def _check_length(announced: int, present: int, name: str) -> None:
    if announced > present:
        raise InputError(
            f"{name}: cut short: the header announces {announced} bytes, only {present} are there; "
            "fetch or export it again"
        )


def _check_riff(stream: BinaryIO, head: bytes, size: int, name: str) -> list[str]:
    """Walk through the chunks up to the samples; check format and lengths."""
    form = head[8:12]
    if form != b"WAVE":
        kind = form.decode("ascii", "replace").strip() or "empty"
        raise InputError(f"{name}: a RIFF file of kind {kind!r}, not sound; give a {SUPPORTED} file")
    order = ">" if head[:4] == b"RIFX" else "<"
    at, wide_length = 12, None
    while at + 8 <= size:
        stream.seek(at)
        identity, length = struct.unpack(f"{order}4sI", stream.read(8))
        if identity == b"ds64":
            wide_length = struct.unpack("<QQ", stream.read(16).ljust(16, b"\0"))[1]
        elif identity == b"fmt ":
            body = stream.read(8)
            if len(body) < 8:
                break
            channels, rate_hz = struct.unpack(f"{order}xxHI", body)
            if channels == 0:
                raise InputError(f"{name}: no channels according to its header; write the file anew")
            check_rate(rate_hz, name)
        elif identity == b"data":
            if wide_length is not None and length == 0xFFFFFFFF:
                length = wide_length
            if at + 8 + length > size and any(low <= length <= high for low, high in UNKNOWN_LENGTHS):
                return ["its header does not state the length; read to the end of the file"]
            _check_length(at + 8 + length, size, name)
            return []
        at += 8 + length + length % 2
    raise InputError(f"{name}: cut short: no samples behind the header; fetch or export it again")


def _check_ogg(stream: BinaryIO, size: int, name: str) -> list[str]:
    """Look for the end mark on the last page; recordings of live streams have none, cut files neither."""
    stream.seek(max(0, size - 2**17))  # a page has at most 65307 bytes
    tail = stream.read()
    last = tail.rfind(b"OggS")
    page = tail[max(last, 0) :]
    n_segments = page[26] if len(page) > 26 else 255
    _check_length(size - len(page) + 27 + n_segments + sum(page[27 : 27 + n_segments]), size, name)
    return [] if page[5] & 4 else ["the Ogg stream has no end mark: it may be cut short"]


def _check_flac(head: bytes, name: str) -> None:
    """Refuse a stream that does not state its samples (the last 36 bits of 64): libsndfile cannot end it."""
    described = head[18:26]
    if len(described) == 8 and int.from_bytes(described) & (2**36 - 1) == 0:
        raise InputError(
            f"{name}: a FLAC stream whose header does not state the length; send WAV through the pipe, "
            "for example: ffmpeg -i FILE -f wav -"
        )


def _refuse_foreign(head: bytes, name: str) -> None:
    """Name what is known not to be readable; the rest is left to libsndfile."""
    for offset, magic, what in _FOREIGN:
        if head[offset:].startswith(magic):
            raise InputError(f"{name}: {what} is not supported, no decoder for it here; {CONVERT}")
    if is_text(head):
        raise InputError(f"{name}: holds text, not sound; give a {SUPPORTED} file")
