"""Values into the bytes of a sound file, always in memory: libsndfile breaks when its output cannot seek.

Integers are made here, q = round(2^(b-1) x) limited to [-2^(b-1), 2^(b-1) - 1], half to even, because
libsndfile reads with the factor 2^-(b-1) but writes floats with 2^(b-1) - 1: a file would not survive
reading and writing.
"""

from __future__ import annotations

import difflib
import io
from typing import Any

import numpy as np
import soundfile

from lrnn_cli.errors import ConfigError, OutputError
from lrnn_cli.numerics.checks import check_finite, check_shape

BLOCK = 2**18  # samples per channel converted at a time
SUFFIXES = {
    "WAV": ".wav",
    "WAVEX": ".wav",
    "RF64": ".wav",
    "FLAC": ".flac",
    "OGG": ".ogg",
    "MP3": ".mp3",
    "AIFF": ".aiff",
}
SUBTYPES = (
    *("PCM_U8", "PCM_S8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
    *("VORBIS", "OPUS", "MPEG_LAYER_III"),
)
_USUAL = {"OGG": "VORBIS", "MP3": "MPEG_LAYER_III"}  # else PCM_24
_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32}
_FINE = ("ALAC_20", "ALAC_24", "ALAC_32")  # can be read, hold more than 16 bits, are not written
_LARGEST_WAV_BYTES = 2**32 - 2**16  # beyond, the lengths of a WAV header do not suffice: RF64


def check_subtype(text: str) -> str:
    """Return the name of a subtype in upper case.

    Raises:
        ConfigError: when it is none of `SUBTYPES`; the message names the nearest.
    """
    name = text.strip().upper()
    if name not in SUBTYPES:
        near = difflib.get_close_matches(name, SUBTYPES, 1, 0.5)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"subtype: unknown {text!r}; {hint}known: {', '.join(SUBTYPES)}")
    return name


def output_format(fmt: dict[str, Any], subtype: str | None = None) -> tuple[str, str]:
    """Return container and subtype of the output.

    They are those of the input, or the asked subtype in a container that takes it. Where the own one cannot
    be written, or not with an exact number of samples (ADPCM, GSM), it is WAV, with PCM_24 for ALAC of more
    than 16 bits, else PCM_16.

    Args:
        fmt: format of an audio signal: container, dtype, sample_rate, channels.
        subtype: asked for, one of `SUBTYPES`; None keeps the input's.

    Raises:
        ConfigError: when the asked subtype takes no such rate or number of channels.
    """
    own, wanted = str(fmt["container"]), subtype or str(fmt["dtype"])
    natural = {"VORBIS": "OGG", "OPUS": "OGG", "MPEG_LAYER_III": "MP3"}.get(wanted, "WAV")
    for container in (own, natural):
        if container in SUFFIXES and wanted in SUBTYPES and _can_write(container, wanted, fmt):
            return container, wanted
    if subtype is not None:
        rate, channels = fmt["sample_rate"], fmt["channels"]
        raise ConfigError(
            f"subtype {subtype}: cannot be written at {rate} Hz with {channels} channels; use FLOAT or PCM_16"
        )
    return "WAV", "PCM_24" if fmt["dtype"] in _FINE else "PCM_16"


def _can_write(container: str, subtype: str, fmt: dict[str, Any]) -> bool:
    """Try it on a few samples: only libsndfile knows which rates and channels an encoder takes."""
    try:
        silence = np.zeros((2, int(fmt["channels"])), np.float32)
        soundfile.write(io.BytesIO(), silence, int(fmt["sample_rate"]), format=container, subtype=subtype)
    except (soundfile.SoundFileError, ValueError, TypeError):
        return False
    return True


def coding_for_suffix(suffix: str, fmt: dict[str, Any], subtype: str | None = None) -> tuple[str, str]:
    """Return container and subtype for a file name.

    Args:
        suffix: with its dot, in either case.
        fmt: format of an audio signal: container, dtype, sample_rate, channels.
        subtype: asked for; None takes that of the format where the container holds it, else the container's
            usual one.

    Returns:
        A key of `SUFFIXES` and one of `SUBTYPES`.

    Raises:
        ConfigError: when the suffix is of no container, or the container cannot hold the sound.
    """
    name = {".oga": ".ogg", ".opus": ".ogg", ".aif": ".aiff"}.get(suffix.lower(), suffix.lower())
    found = [container for container, own in SUFFIXES.items() if own == name]
    if not found:
        known = ", ".join(dict.fromkeys(SUFFIXES.values()))
        raise ConfigError(f"output suffix: expected one of {known}, got {suffix or 'none'}")
    container = str(fmt["container"]) if fmt["container"] in found else found[0]
    usual = _USUAL.get(container, "PCM_24")
    own = [str(fmt["dtype"]), usual]
    if suffix.lower() == ".opus":
        own = [usual := "OPUS"]
    for each in [subtype] if subtype else own:
        if each in SUBTYPES and _can_write(container, each, fmt):
            return container, each
    rate, channels = fmt["sample_rate"], fmt["channels"]
    raise ConfigError(
        f"a {suffix} file holds no {subtype or usual} at {rate} Hz with {channels} channels; name a .wav file"
    )


def output_suffix(container: str) -> str:
    """Return the usual suffix of a container, with its dot."""
    return SUFFIXES[container]


def encode_audio(
    values: np.ndarray, *, container: str, subtype: str, sample_rate: int, gain: float = 1.0
) -> tuple[bytes, int]:
    """Return the bytes of a sound file and how many of its samples were clipped.

    The file holds x = gain v. Float subtypes keep x as it is; all others are limited to [-1, 1) first.

    Args:
        values: v, (n, c), finite.
        container: "WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3" or "AIFF".
        subtype: one of `SUBTYPES` that the container takes.
        sample_rate: in Hz.
        gain: the factor undone on reading, see `read_audio`.

    Raises:
        OutputError: when libsndfile refuses this combination.
    """
    check_shape("values", values, ("n", "c"))
    check_finite("values", values)
    if container in ("WAV", "WAVEX") and values.size * 8 > _LARGEST_WAV_BYTES:
        width = {"DOUBLE": 64, "FLOAT": 32}.get(subtype, _BITS.get(subtype, 16)) // 8
        container = "RF64" if values.size * width > _LARGEST_WAV_BYTES else container
    stream, clipped = io.BytesIO(), 0
    try:
        with soundfile.SoundFile(
            stream, "w", samplerate=sample_rate, channels=values.shape[1], format=container, subtype=subtype
        ) as file:
            for start in range(0, len(values), BLOCK):
                block, n_clipped = _stored(values[start : start + BLOCK].astype(np.float64) * gain, subtype)
                clipped += n_clipped
                file.write(block)
    except (soundfile.SoundFileError, ValueError, TypeError) as error:
        raise OutputError(
            f"cannot write {container} {subtype} at {sample_rate} Hz: {error}; use --subtype FLOAT"
        ) from error
    _forget_time(stream)
    return stream.getvalue(), clipped


def _forget_time(stream: io.BytesIO) -> None:
    """Clear the time of writing in the PEAK chunk of a float WAV or AIFF file: equal sounds, equal files."""
    with stream.getbuffer() as content:
        head = bytes(content[:4096])  # a PEAK chunk has eight bytes per channel
        at = head.find(b"PEAK")
        if 0 < at < max(head.find(b"data"), head.find(b"SSND")):
            content[at + 12 : at + 16] = bytes(4)  # behind name, length and version


def _stored(x: np.ndarray, subtype: str) -> tuple[np.ndarray, int]:
    """Return a block as libsndfile shall store it, and the number of values that had to be limited."""
    if subtype in ("FLOAT", "DOUBLE"):
        return x.astype(np.float32) if subtype == "FLOAT" else x, 0
    if subtype in ("VORBIS", "OPUS", "MPEG_LAYER_III"):
        return np.clip(x, -1.0, 1.0), int(np.count_nonzero(np.abs(x) > 1.0))
    bits = _BITS.get(subtype, 16)
    top = 2 ** (bits - 1)
    q = np.rint(x * top)
    clipped = int(np.count_nonzero((q < -top) | (q > top - 1)))
    q = np.clip(q, -top, top - 1)
    width = 16 if bits <= 16 else 32  # libsndfile takes the upper bits
    return (q * 2 ** (width - bits)).astype(np.int16 if width == 16 else np.int32), clipped
