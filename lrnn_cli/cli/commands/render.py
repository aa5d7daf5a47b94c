"""`lrnn render`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.parse import parse_moment, parse_region, parse_size
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.render_audio import Sound, render_sound
from lrnn_cli.cli.render_image import Picture, render_picture
from lrnn_cli.cli.render_solution import render_solution
from lrnn_cli.cli.rendering import Rendering
from lrnn_cli.errors import ConfigError

PANEL = "The picture"
SOUND = "The sound"
FIELD = "The solution of an equation"

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
        help="By its suffix a PNG, JPEG, WebP, BMP or TIFF file, of a sound WAV, FLAC, OGG, Opus, MP3 or "
        "AIFF, of a solution NPZ, CSV, VTI or PNG; - for stdout; else RUN/render-WxH.png, "
        "RUN/render-48000Hz.wav.",
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
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="WHERE",
        help="Where to evaluate a solution: 'grid 512x512', or a CSV file of points.",
        show_default=False,
        rich_help_panel=FIELD,
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
    at: At = None,
    device: o.Device = None,
    threads: o.Threads = None,
    engine: o.Engine = None,
    output: Output = None,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Draw a fitted image, play a fitted sound, evaluate a solution: the whole or a part, at any resolution.

    The network is evaluated at the pixel centres or moments of the result. At the original size or rate these
    are the values whose PSNR the fit reported. PNG and TIFF are written as they are drawn, so that memory
    sets no limit. A rate above the original's adds no detail: what lies beyond its band is measured and
    reported.
    """
    talk = Talk(quiet=quiet, verbose=verbose, json=json, data_on_stdout=output == "-")
    picture = Picture(parse_size(size, "--size"), scale, parse_region(region, "--region"), dtype)
    sound = Sound(rate, parse_moment(start, "--start"), parse_moment(duration, "--duration"), speed, subtype)
    if output == "-":
        talk.check_data_stdout()

    from lrnn_cli.runs.find import FoundSolution, find_any

    found = find_any(run)
    if isinstance(found, FoundSolution):
        machine = {"device": device, "threads": threads, "engine": engine}
        _refuse_options_of_others("poisson", {**asdict(picture), **asdict(sound), **machine})
        return render_solution(at, Rendering(run, found, output, force, {}, talk))
    _refuse_options_of_others(found.fitted.kind, {"at": at})
    is_sound = found.fitted.kind == "audio"
    _refuse_options_of_others(found.fitted.kind, asdict(picture if is_sound else sound))
    options = {"device": device or "auto", "threads": threads, "engine": engine or "auto"}
    to = Rendering(run, found, output, force, options, talk)
    return render_sound(sound, to) if is_sound else render_picture(picture, to)
