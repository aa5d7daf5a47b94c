"""`lrnn render`."""

import hashlib
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.commands.fit_audio import parse_moment
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.render_audio import Sound, render_sound
from lrnn_cli.errors import CheckpointError, ConfigError, OutputError

if TYPE_CHECKING:
    import numpy as np

PANEL = "The picture"
SOUND = "The sound"
_COPY_BYTES = 2**20
_SAY_AFTER_S = 5.0  # shorter renderings need no word on how far they are

Run = Annotated[
    Path,
    typer.Argument(metavar="RUN", help="A run folder or a checkpoint in one.", show_default=False),
]
Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="PNG, JPEG, WebP, BMP or TIFF file, by its suffix, or - for stdout; else RUN/render-WxH.png.",
        show_default=False,
        rich_help_panel=o.OUTPUT,
    ),
]
Size = Annotated[
    str | None,
    typer.Option("--size", metavar="WxH", help="Pixels of the result, as 1024x768.", rich_help_panel=PANEL),
]
Scale = Annotated[
    float | None,
    typer.Option(
        "--scale", metavar="X", help="Times the original size; 1 if left out.", rich_help_panel=PANEL
    ),
]
Region = Annotated[
    str | None,
    typer.Option(
        "--region",
        metavar="X0,Y0,X1,Y1",
        help="A part of the original, in its pixels, fractions allowed: 10.5,0,20.5,10.",
        rich_help_panel=PANEL,
    ),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        metavar="NAME",
        help="uint8, uint16, or float32 (TIFF), which rounds nothing; that of the original if left out.",
        rich_help_panel=PANEL,
    ),
]
Rate = Annotated[
    int | None,
    typer.Option(
        "--rate",
        metavar="HZ",
        parser=o._reads(o.parse_count),
        help="Samples per second of the result: 96000 or 96k; those of the original if left out.",
        rich_help_panel=SOUND,
    ),
]
Start = Annotated[
    str | None,
    typer.Option("--start", metavar="TIME", help="Begin here in what was fitted.", rich_help_panel=SOUND),
]
Duration = Annotated[
    str | None,
    typer.Option("--duration", metavar="TIME", help="Play so much of it.", rich_help_panel=SOUND),
]
Speed = Annotated[
    float | None,
    typer.Option(
        "--speed",
        metavar="X",
        help="Times the original speed; 0.5 is twice as long and an octave lower.",
        rich_help_panel=SOUND,
    ),
]
Subtype = Annotated[
    str | None,
    typer.Option(
        "--subtype",
        metavar="NAME",
        help="Coding of the samples: PCM_16, PCM_24, FLOAT, ...; the original's if left out.",
        rich_help_panel=SOUND,
    ),
]


def parse_region(text: str | None) -> tuple[float, float, float, float] | None:
    """Read x0,y0,x1,y1.

    Raises:
        ConfigError: when these are not four numbers.
    """
    if text is None:
        return None
    try:
        x0, y0, x1, y1 = (float(part) for part in text.split(","))
    except ValueError:
        raise ConfigError(f"--region: expected four numbers X0,Y0,X1,Y1, got {text!r}") from None
    return x0, y0, x1, y1


def _refuse_options_of_others(kind: str, options: dict[str, Any]) -> None:
    """Refuse options that mean nothing for a fit of this kind."""
    for name, value in options.items():
        if value is not None:
            raise ConfigError(f"--{name} means nothing for a fit of kind {kind!r}")


def command(
    run: Run,
    size: Size = None,
    scale: Scale = None,
    region: Region = None,
    dtype: Dtype = None,
    rate: Rate = None,
    start: Start = None,
    duration: Duration = None,
    speed: Speed = None,
    subtype: Subtype = None,
    device: o.Device = None,
    threads: o.Threads = None,
    engine: o.Engine = None,
    output: Output = None,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Draw a fitted image or play a fitted sound again: the whole or a part, at any size or rate.

    The network is evaluated at the pixel centres or moments of the result. At the original size or rate these
    are the values whose PSNR the fit reported. PNG and TIFF are written as they are drawn, so that memory
    sets no limit. A rate above the original's adds no detail: what lies beyond its band is measured and
    reported.
    """
    talk = Talk(quiet=quiet, verbose=verbose, json=json, data_on_stdout=output == "-")
    box, wanted = parse_region(region), o.parse_size(size, "--size")
    if output == "-":
        talk.check_data_stdout()

    from lrnn_cli.runs.find import find
    from lrnn_cli.runs.folder import atomic_file
    from lrnn_cli.signals.image import container_for_suffix
    from lrnn_cli.signals.image_stream import check_size, write_image
    from lrnn_cli.signals.image_write import check_image, output_suffix
    from lrnn_cli.tasks import render

    sound = Sound(rate, parse_moment(start, "--start"), parse_moment(duration, "--duration"), speed, subtype)
    found = find(run)
    is_sound = found.fitted.kind == "audio"
    _refuse_options_of_others(
        found.fitted.kind,
        {"size": size, "scale": scale, "region": region, "dtype": dtype} if is_sound else asdict(sound),
    )
    if is_sound:
        options = {"device": device or "auto", "threads": threads, "engine": engine or "auto"}
        return render_sound(run, found, sound, output, force, options, talk)
    given = None if output in (None, "-") else Path(str(output))
    if given is not None and given.is_dir():
        raise OutputError(f"{given}: is a folder; name a file with a suffix such as .png")
    container = container_for_suffix(given.suffix) if given else None
    view = render.make_view(found.fitted, size=wanted, scale=scale, region=box)
    try:
        form = render.choose_format(found.fitted, container, dtype)
    except CheckpointError as error:
        raise CheckpointError(f"{found.checkpoint}: {error}") from error
    shape = (view.height, view.width, found.fitted.n_outputs)
    check_size(view.height, view.width, container=form.container)
    check_image(shape, container=form.container, dtype=form.dtype)
    path = given or found.folder.path / _default_name(view, output_suffix(form.container), box is not None)
    if output != "-" and path.exists() and not force:
        raise OutputError(f"{path} exists; --force overwrites it, -o chooses another file")
    machine = render.make_machine(
        found.fitted, device=device or "auto", threads=threads, engine=engine or "auto"
    )
    for note in (*form.notes, *machine.notes):
        talk.note(note)
    height, width = found.fitted.shape
    if box and (box[0] < 0 or box[1] < 0 or box[2] > width or box[3] > height):
        talk.note(f"parts of the region lie outside the {width}x{height} pixels that were fitted")
    talk.debug(f"engine {machine.engine.name} ({machine.engine.reason}) on {machine.runner.device}")

    def write(file: BinaryIO) -> None:
        bands = _count_rows(render.draw(found.fitted, view, form, machine.runner), view.height, talk)
        write_image(file, bands, shape, container=form.container, dtype=form.dtype, channels=form.channels)

    began = time.perf_counter()
    record: dict[str, Any] = {
        "output": "-" if output == "-" else str(path),
        "checkpoint": str(found.checkpoint),
        "width": view.width,
        "height": view.height,
        "region": list(view.region),
        "container": form.container,
        "dtype": form.dtype,
        "channels": list(form.channels),
        "device": str(machine.runner.device),
        "engine": machine.engine.name,
        "notes": [*form.notes, *machine.notes],
    }
    try:
        if output == "-":
            with tempfile.TemporaryFile() as copy:
                write(copy)
                copy.seek(0)
                while piece := copy.read(_COPY_BYTES):
                    talk.data(piece)
        else:
            with atomic_file(path) as file:
                write(file)
                file.seek(0)
                record["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    finally:
        machine.runner.close()
    seconds = time.perf_counter() - began
    record["seconds"] = round(seconds, 4)
    where = "" if output == "-" else f" -> {path}"
    talk.result(
        f"{run}: {view.width}x{view.height} pixels, {form.container} {form.dtype}, {seconds:.1f} s{where}",
        record,
    )
    return 0


def _default_name(view: Any, suffix: str, is_part: bool) -> str:
    part = "-" + ",".join(f"{edge:g}" for edge in view.region) if is_part else ""
    return f"render-{view.width}x{view.height}{part}{suffix}"


def _count_rows(bands: "Iterable[np.ndarray]", height: int, talk: Talk) -> "Iterator[np.ndarray]":
    """Pass the bands on, and say every tenth of a long rendering."""
    began = time.monotonic()
    done = tenths = 0
    for band in bands:
        yield band
        done += len(band)
        seconds = time.monotonic() - began
        if done * 10 // height > tenths and seconds > _SAY_AFTER_S:
            tenths = done * 10 // height
            talk.note(f"render: {100 * done // height} %  {seconds * (height - done) / done:.0f} s left")
