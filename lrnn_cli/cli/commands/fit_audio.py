"""`lrnn fit-audio`."""

from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.fitting import Medium, fit_command
from lrnn_cli.cli.parse import parse_moment
from lrnn_cli.cli.shared import FITTING, MODEL, takes
from lrnn_cli.errors import ConfigError

PANEL = "The sound"
SUFFIXES = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc")
AUDIO_FLAGS = {
    "start": "start_s",
    "duration": "duration_s",
    "mono": "mono",
    "segments": "segments",
    "subtype": "subtype",
    "speech_metrics": "speech_metrics",
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
SpeechMetrics = Annotated[
    bool | None,
    typer.Option(
        "--speech-metrics",
        help="Measure STOI, ESTOI and, where installed, PESQ, too; for speech at 8 or 16 kHz.",
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


@takes(MODEL, ..., FITTING)
def command(
    inputs: Inputs,
    start: Start = None,
    duration: Duration = None,
    mono: Mono = None,
    segments: Segments = None,
    subtype: Subtype = None,
    speech_metrics: SpeechMetrics = None,
    **shared: Any,
) -> int:
    """Fit a network to a sound and write reconstruction, checkpoint, metrics and a preview.

    The run folder is runs/NAME/MODEL-sSEED unless -o says otherwise. Channels are outputs of one network.
    """
    own = {
        "start": parse_moment(start, "--start"),
        "duration": parse_moment(duration, "--duration"),
        "mono": mono,
        "segments": parse_segments(segments),
        "subtype": subtype,
        "speech_metrics": speech_metrics,
    }

    return fit_command(inputs, {**shared, **own}, medium())


def medium() -> Medium:
    """Return the parts of this kind of signal."""
    from lrnn_cli.signals.audio import AudioOptions, read_audio
    from lrnn_cli.tasks.fit_audio import AudioTask

    return Medium("audio", AudioOptions, AUDIO_FLAGS, read=read_audio, task=AudioTask, suffixes=SUFFIXES)
