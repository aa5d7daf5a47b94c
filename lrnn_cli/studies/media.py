"""What a report shows and plays: originals and fits as data URLs that any browser takes."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrnn_cli.errors import InputError
from lrnn_cli.runs.folder import RunFolder
from lrnn_cli.studies.collect import RunRecord
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.measures import MEASURES

LONGEST_PX = 768  # side of an embedded picture; larger ones are scaled down
LONGEST_S = 15.0  # of an embedded sound; longer ones are cut


@dataclass(frozen=True)
class Medium:
    """A picture or sound.

    Attributes:
        label: `original` or the row's label.
        note: figure of the run, such as 35.20 dB; empty for the original.
        url: data URL.
        width: of a picture in pixels; 0 for a sound.
    """

    label: str
    note: str
    url: str
    width: int = 0


@dataclass(frozen=True)
class Exhibit:
    """An input with its fits.

    Attributes:
        name: of the input.
        media: original first, where there is one.
        note: what was done to them for the page; may be empty.
    """

    name: str
    media: tuple[Medium, ...]
    note: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether these are sounds."""
        return bool(self.media) and self.media[0].url.startswith("data:audio")


def exhibits(runs: list[tuple[Job, RunRecord]], measure: str, limit: int) -> list[Exhibit]:
    """Return the first inputs with one fit of each row: that of the smallest seed that ended well.

    Args:
        runs: jobs with their records.
        measure: the figure that stands beside each of them.
        limit: how many inputs.

    Returns:
        at most `limit` exhibits; inputs without a fit are left out.
    """
    groups: dict[str, list[tuple[Job, RunRecord]]] = {}
    for job, record in runs:
        if record.ok:
            groups.setdefault(job.sha256, []).append((job, record))
    found = []
    for group in list(groups.values())[:limit]:
        first: dict[str, tuple[Job, RunRecord]] = {}
        for job, record in sorted(group, key=lambda one: one[1].seed):
            first.setdefault(record.label, (job, record))
        order = list(dict.fromkeys(record.label for _, record in group))
        found.append(_exhibit([first[label] for label in order], measure))
    return [one for one in found if one.media]


def _exhibit(chosen: list[tuple[Job, RunRecord]], measure: str) -> Exhibit:
    job, record = chosen[0]
    make = {"image": _picture, "audio": _sound, "slice": _slice}.get(record.kind)
    media = []
    note = ""
    if make is not None:
        original, note = make(str(job.path), job.config.get(record.kind) or {})
        media.append(Medium("original", "", *original))
    for _, run in chosen:
        path = _output(run.folder, record.kind) if make is not None else run.folder / "preview.png"
        if path is None or not path.exists():
            continue
        show = _picture if make is _slice else make  # what is written of a slice is a picture
        data, _ = show(str(path), {}) if show is not None else (_scaled(path), "")
        note_of_run = f"{MEASURES[measure].title} {MEASURES[measure].show(run.metrics.get(measure))}"
        media.append(Medium(run.label, note_of_run, *data))
    return Exhibit(record.input_name, tuple(media), note)


def _output(folder: Path, kind: str) -> Path | None:
    known = [folder / "output.u16.png"] if kind == "slice" else RunFolder(folder).outputs()
    return next((path for path in known if path.exists()), None)


def _picture(path: str, options: dict[str, Any]) -> tuple[tuple[str, int], str]:
    """Return an image file, read as the job reads it, as an 8-bit PNG."""
    from lrnn_cli.signals.image import ImageOptions, read_image

    signal = read_image(path, ImageOptions(**options))
    low, peak = min(0.0, float(signal.values.min())), signal.peak
    return _shown((signal.values - low) / peak)


def _slice(path: str, options: dict[str, Any]) -> tuple[tuple[str, int], str]:
    """Return a slice as an 8-bit PNG, 0 to its data range, which is the window of `output.u16.png`."""
    del options
    from lrnn_cli.signals.slices import read_slice

    found = read_slice(path)
    return _shown(found.u[..., None] / found.data_range)


def _shown(values: Any) -> tuple[tuple[str, int], str]:
    """Return values (h, w, c) on [0, 1] as an 8-bit PNG of a size to look at."""
    import numpy as np
    from PIL import Image

    levels = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    picture = Image.fromarray(levels[..., 0] if levels.shape[-1] == 1 else levels)
    note = ""
    if max(picture.size) > LONGEST_PX:
        note = f"scaled down from {picture.width}x{picture.height} for this page"
        picture.thumbnail((LONGEST_PX, LONGEST_PX))
    return (_png(picture), picture.width), note


def _scaled(path: Path) -> tuple[str, int]:
    from PIL import Image

    with Image.open(path) as picture:
        picture.thumbnail((2 * LONGEST_PX, 2 * LONGEST_PX))
        return _png(picture.convert("RGB")), picture.width


def _png(picture: Any) -> str:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode()


def _sound(path: str, options: dict[str, Any]) -> tuple[tuple[str, int], str]:
    """Return a sound file, the part that the job reads, as 16-bit WAV."""
    import soundfile

    try:
        rate = soundfile.info(path).samplerate
        start = float(options.get("start_s") or 0.0)
        length = min(LONGEST_S, float(options.get("duration_s") or LONGEST_S))
        samples, rate = soundfile.read(path, start=round(start * rate), frames=round(length * rate))
    except soundfile.LibsndfileError as error:
        raise InputError(f"{path}: {error}") from error
    if options.get("mono") and samples.ndim > 1:
        samples = samples.mean(1)
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, "PCM_16", format="WAV")
    whole = len(samples) >= round(LONGEST_S * rate)
    note = f"the first {LONGEST_S:g} s" if whole else ""
    return ("data:audio/wav;base64," + base64.b64encode(stream.getvalue()).decode(), 0), note
