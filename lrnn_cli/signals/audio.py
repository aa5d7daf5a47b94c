"""Sound files ⇄ `Signal`.

Values are float32 (n, c), one row per instant and one column per channel, divided by the gain, the largest
absolute value of the part that was read, so that their peak is 1; the gain is kept in `Signal.format` and
multiplied back on output. Channels are never mixed unless asked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import soundfile
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lrnn_cli.errors import InputError
from lrnn_cli.numerics.checks import count_nonfinite, describe_nonfinite
from lrnn_cli.signals.audio_quiet import silenced_stderr
from lrnn_cli.signals.audio_source import CONVERT, SUPPORTED, check_container, check_rate
from lrnn_cli.signals.audio_write import check_subtype, encode_audio, output_format, output_suffix
from lrnn_cli.signals.image_source import digest, one_line, open_source
from lrnn_cli.signals.signal import Signal

__all__ = ["AudioOptions", "encode_audio", "output_format", "output_suffix", "read_audio"]

BLOCK = 2**18  # samples per channel worked on at a time


class AudioOptions(BaseModel):
    """What to do to a sound: cut out a part, mix the channels, fit it in segments, write it in a coding."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start_s: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="begin here, in seconds")
    duration_s: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="read so many seconds; all that follow when left out",
    )
    mono: bool = Field(default=False, description="mix the channels to one, their mean")
    segments: int | Literal["auto"] = Field(
        default="auto", description="networks one after the other in time, with cross-fades; auto chooses"
    )
    subtype: str | None = Field(
        default=None, description="coding of the output, such as PCM_24 or FLOAT; the input's when left out"
    )
    speech_metrics: bool = Field(
        default=False, description="measure STOI, ESTOI and PESQ, too: speech at 8 or 16 kHz"
    )
    max_channels: int = Field(default=64, gt=0, description="refuse files with more channels")
    max_samples: int = Field(
        default=2**30, gt=0, description="refuse to read more samples, over all channels"
    )

    @field_validator("subtype")
    @classmethod
    def _known_subtype(cls, value: str | None) -> str | None:
        return None if value is None else check_subtype(value)

    @field_validator("segments")
    @classmethod
    def _some_segments(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError("expected at least 1")
        return value


DEFAULTS = AudioOptions()


def read_audio(source: str | Path, options: AudioOptions = DEFAULTS, data: bytes | None = None) -> Signal:
    """Read a WAV, FLAC, OGG, Opus, MP3 or AIFF file; which it is, its first bytes tell.

    Integers of b bits are divided by 2^(b-1), floats are kept, then all is divided by the gain. Silence has
    gain 1.

    Args:
        source: path of the file; with `data` the name to show, such as "-".
        options: part, mixing and limits.
        data: the bytes of the file, if they are already here.

    Returns:
        A signal of kind "audio" with values (n, c), peak 1; its format has the keys `container`, `dtype`
        (libsndfile's subtype), `sample_rate` in Hz, `channels`, `gain`, `start_s`.

    Raises:
        InputError: when it cannot be read; one line that names the file, the fault and the remedy.
    """
    name = one_line(source, 4096)
    with open_source(source, data, "sound file") as stream:
        sha256 = digest(stream, name)
        notes = check_container(stream, name)
        with silenced_stderr(), _opened(stream, name) as file:
            container, dtype, rate_hz = file.format, file.subtype, file.samplerate
            _check_header(file, options, name)
            start, n = _part(file, options, name, notes)
            values = _decoded(file, start, n, name)
    _check_values(values, name)
    if options.mono and values.shape[1] > 1:
        notes.append(f"{values.shape[1]} channels mixed to mono, their mean")
        values = values.mean(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)
    gain = _normalise(values)
    if gain == 0:
        notes.append("all samples are zero: silence")
    return Signal(
        values=values,
        kind="audio",
        peak=1.0,
        name="stdin" if str(source) == "-" else Path(source).stem or "sound",
        path=str(source),
        sha256=sha256,
        notes=tuple(notes),
        format={
            "container": container,
            "dtype": dtype,
            "sample_rate": rate_hz,
            "channels": int(values.shape[1]),
            "gain": gain or 1.0,
            "start_s": start / rate_hz,
        },
    )


def _opened(stream: BinaryIO, name: str) -> soundfile.SoundFile:
    """Open with libsndfile."""
    try:
        return soundfile.SoundFile(stream)
    except (soundfile.SoundFileError, RuntimeError, ValueError, TypeError) as error:
        reason = one_line(getattr(error, "error_string", error))
        raise InputError(
            f"{name}: cannot be decoded as sound ({reason}); give a {SUPPORTED} file, or {CONVERT}"
        ) from error


def _check_header(file: soundfile.SoundFile, options: AudioOptions, name: str) -> None:
    """Refuse headers that announce nothing, or absurdly much."""
    check_rate(file.samplerate, name)
    if file.channels > options.max_channels:
        raise InputError(
            f"{name}: {file.channels} channels are more than max_channels={options.max_channels}; "
            "raise audio.max_channels if you mean it, or split the file"
        )
    if file.frames < 2:
        count = "no samples" if file.frames < 1 else "a single sample"
        raise InputError(f"{name}: holds {count}; a sound needs at least 2, record or export it again")


def _part(file: soundfile.SoundFile, options: AudioOptions, name: str, notes: list[str]) -> tuple[int, int]:
    """Return first sample and number of samples to read."""
    rate_hz, total_s = file.samplerate, file.frames / file.samplerate
    start = round(options.start_s * rate_hz)
    if start >= file.frames - 1:
        raise InputError(
            f"{name}: start {options.start_s:g} s is beyond the end, it lasts {total_s:.6g} s; start earlier"
        )
    n = file.frames - start
    if options.duration_s is not None:
        asked = round(options.duration_s * rate_hz)
        if asked < 2:
            raise InputError(
                f"{name}: {options.duration_s:g} s at {rate_hz} Hz is less than 2 samples; take a longer part"
            )
        if asked > n:
            notes.append(f"only {n / rate_hz:.6g} s are left after the start, not {options.duration_s:g} s")
        n = min(asked, n)
    if n * file.channels > options.max_samples:
        raise InputError(
            f"{name}: {n} x {file.channels} samples are more than max_samples={options.max_samples}; "
            "take a part with --start and --duration, or raise audio.max_samples"
        )
    return start, n


def _decoded(file: soundfile.SoundFile, start: int, n: int, name: str) -> np.ndarray:
    """Read n samples of all channels, float32 (n, c), block by block into their final place."""
    values = np.empty((n, file.channels), np.float32)
    done = 0
    try:
        if start:
            file.seek(start)
        while done < n:
            block = values[done : done + BLOCK]
            got = len(file.read(len(block), dtype="float32", always_2d=True, out=block))
            if got == 0:
                break
            done += got
    except (soundfile.SoundFileError, RuntimeError) as error:
        reason = one_line(getattr(error, "error_string", error))
        raise InputError(
            f"{name}: cannot be decoded beyond sample {start + done} ({reason}); "
            "the file is damaged or cut short, fetch or export it again"
        ) from error
    if done < n:
        raise InputError(
            f"{name}: cut short: {start + n} samples announced, {start + done} are there; "
            "fetch or export it again"
        )
    return values


def _check_values(values: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity, which no model can fit."""
    n_nan = n_infinite = 0
    for first in range(0, len(values), BLOCK):
        more = count_nonfinite(values[first : first + BLOCK])
        n_nan, n_infinite = n_nan + more[0], n_infinite + more[1]
    if n_nan or n_infinite:
        found = describe_nonfinite(n_nan, n_infinite, values.size)
        raise InputError(f"{name}: {found}; repair them, or take a part without them (--start, --duration)")


def _normalise(values: np.ndarray) -> float:
    """Divide by the largest absolute value, in place, and return it; 0 and nothing changed for silence."""
    gain = max(float(np.abs(values[i : i + BLOCK]).max()) for i in range(0, len(values), BLOCK))
    if gain > 0:
        for i in range(0, len(values), BLOCK):
            block = values[i : i + BLOCK]
            block[...] = block.astype(np.float64) / gain
    return gain
