"""`lrnn fit-audio`."""

from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.parse import parse_moment
from lrnn_cli.cli.render import Talk
from lrnn_cli.errors import ConfigError

PANEL = "The sound"
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc")
AUDIO_FLAGS = {
    "start": "start_s",
    "duration": "duration_s",
    "mono": "mono",
    "segments": "segments",
    "subtype": "subtype",
}

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="SOUND...", help="Files or folders; - reads one sound from stdin.", show_default=False
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start", metavar="TIME", help="Begin here in the file: 90, 1.5s, 2m.", rich_help_panel=PANEL
    ),
]
Duration = Annotated[
    str | None,
    typer.Option("--duration", metavar="TIME", help="Fit so much of the sound.", rich_help_panel=PANEL),
]
Mono = Annotated[bool | None, typer.Option("--mono", help="Mix the channels to one.", rich_help_panel=PANEL)]
Segments = Annotated[
    str | None,
    typer.Option(
        "--segments",
        metavar="N|auto",
        help="Fit N networks one after the other in time, with cross-fades.",
        rich_help_panel=PANEL,
    ),
]
Subtype = Annotated[
    str | None,
    typer.Option(
        "--subtype",
        metavar="NAME",
        help="Coding of the output: PCM_16, PCM_24, FLOAT, ...; the input's unless given.",
        rich_help_panel=PANEL,
    ),
]


def parse_segments(text: str | None) -> int | str | None:
    """Read a number of segments, or auto.

    Raises:
        ConfigError: when it is neither.
    """
    if text is None or text == "auto":
        return text
    try:
        return o.parse_count(text)
    except ConfigError:
        raise ConfigError(f"--segments: expected auto or a count of at least 1, got {text!r}") from None


def command(
    inputs: Inputs,
    model: o.Model = None,
    params: o.Params = None,
    rank: o.Rank = None,
    dbar: o.Dbar = None,
    depth: o.Depth = None,
    width: o.Width = None,
    component_width: o.ComponentWidth = None,
    sigma: o.Sigma = None,
    components: o.Components = None,
    omega_first: o.OmegaFirst = None,
    omega_hidden: o.OmegaHidden = None,
    layer_norm: o.LayerNorm = None,
    set: o.Set = None,
    start: Start = None,
    duration: Duration = None,
    mono: Mono = None,
    segments: Segments = None,
    subtype: Subtype = None,
    steps: o.Steps = None,
    time: o.Time = None,
    until: o.Until = None,
    batch_points: o.BatchPoints = None,
    lr: o.Lr = None,
    schedule: o.Schedule = None,
    warmup: o.Warmup = None,
    optimizer: o.Optimizer = None,
    lstsq: o.Lstsq = None,
    guard: o.Guard = None,
    seed: o.Seed = None,
    device: o.Device = None,
    precision: o.Precision = None,
    threads: o.Threads = None,
    block_points: o.BlockPoints = None,
    engine: o.Engine = None,
    preset: o.Preset = None,
    config: o.Config = None,
    print_config: o.PrintConfig = False,
    dry_run: o.DryRun = False,
    output: o.Output = None,
    resume: o.Resume = False,
    force: o.Force = False,
    skip_existing: o.SkipExisting = False,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Fit a network to a sound and write reconstruction, checkpoint, metrics and a preview.

    The run folder is runs/NAME/MODEL-sSEED unless -o says otherwise. Channels are outputs of one network.
    """
    flags: dict[str, Any] = {**locals()}
    flags["start"] = parse_moment(start, "--start")
    flags["duration"] = parse_moment(duration, "--duration")
    flags["segments"] = parse_segments(segments)
    talk = Talk(quiet=quiet, verbose=verbose, json=json, data_on_stdout=output == "-")

    from lrnn_cli.cli.settings import dump, resolve
    from lrnn_cli.signals.audio import AudioOptions

    settings, preset_name = resolve(flags, kind="audio", options=AudioOptions, signal_flags=AUDIO_FLAGS)
    if print_config:
        import yaml

        talk.out(yaml.safe_dump(dump(settings), sort_keys=False).rstrip())
        return 0

    from lrnn_cli.cli.fitting import Choices, Kind, expand, run_inputs
    from lrnn_cli.signals.audio import read_audio
    from lrnn_cli.tasks.fit_audio import AudioTask

    kind = Kind(
        read=lambda name, data: read_audio(name, settings.audio, data),
        task=lambda signal: AudioTask(signal, settings.audio),
        suffixes=SUFFIXES,
    )
    choices = Choices(output=output, force=force, skip_existing=skip_existing, resume=resume, dry_run=dry_run)
    return run_inputs(expand(inputs, SUFFIXES), kind, settings, preset_name, choices, talk)
