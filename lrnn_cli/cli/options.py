"""The options that commands share, each defined once: name, help text, how its value is read.

A command takes them as `rank: options.Rank = None`. None means "not given", so that the precedence
defaults < preset < --config < flags can be worked out by `lrnn_cli.cli.merge`. Options that do not belong to
the merged settings (output, --force, -v) have plain defaults.
"""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lrnn_cli.cli.group import Session
from lrnn_cli.errors import ConfigError

MODEL = "Model"
TRAINING = "Training"
MACHINE = "Machine"
OUTPUT = "Output"
CONFIGURATION = "Configuration"
MESSAGES = "Messages"

_COUNT = re.compile(r"([0-9][0-9_]*\.?[0-9]*(?:[eE][+]?[0-9]+)?)\s*([kKmMgG]?)")
_SCALE = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_TIME = re.compile(r"(?:(\d+(?:\.\d*)?)h)?(?:(\d+(?:\.\d*)?)m(?!s))?(?:(\d+(?:\.\d*)?)s?)?")


def parse_count(text: str) -> int:
    """Reads a number of things.

    Args:
        text: 200000, 200_000, 200k, 1.5M or 2e5.

    Returns:
        The number, at least 1.

    Raises:
        ConfigError: if the text is no count, or not a whole number >= 1.
    """
    found = _COUNT.fullmatch(text.strip())
    value = float(found[1].replace("_", "")) * _SCALE[found[2].lower()] if found else math.nan
    whole = round(value) if math.isfinite(value) else 0
    if whole < 1 or abs(value - whole) > 1e-9 * whole:
        raise ConfigError(
            f"{text!r} is not a count; write a whole number from 1 on, like 200000, 200k or 1.5M"
        )
    return whole


def parse_time(text: str) -> float:
    """Reads a duration.

    Args:
        text: 90, 90s, 1.5m, 1h or 1h30m; a bare number counts seconds.

    Returns:
        Seconds, more than 0.

    Raises:
        ConfigError: if the text is no duration, or none that is longer than 0.
    """
    seconds = read_moment(text)
    if seconds == 0:
        raise ConfigError(f"{text!r} is not a time; write for example 60s, 5m, 1h30m")
    return seconds


def read_moment(text: str) -> float:
    """Reads a time that may be 0.

    Args:
        text: as for `parse_time`, or 0, 0s, 0.00.

    Returns:
        Seconds.

    Raises:
        ConfigError: if the text is no time.
    """
    found = _TIME.fullmatch(text.strip().replace(" ", "").lower())
    parts = found.groups() if found else ()
    seconds = sum(float(part or 0) * unit for part, unit in zip(parts, (3600, 60, 1), strict=False))
    if not any(parts) or seconds == math.inf:
        raise ConfigError(f"{text!r} is not a time; write for example 60s, 5m, 1h30m")
    return seconds


def parse_batch(text: str, words: Sequence[str] = ("full", "auto")) -> int | str:
    """Reads a number of points per step, or worked on at once.

    Args:
        text: a count as for `parse_count`, or a word.
        words: those that are allowed.

    Returns:
        The count or the word.

    Raises:
        ConfigError: if the text is neither.
    """
    word = text.strip().lower()
    if word in words:
        return word
    try:
        return parse_count(text)
    except ConfigError:
        example = f"4096 or 16k, {' or '.join(words)}"
        raise ConfigError(f"{text!r} is no number of points; write for example {example}") from None


def complete_models(incomplete: str) -> list[tuple[str, str]]:
    """Offers the models of the catalog to the shell.

    Args:
        incomplete: what is typed so far.

    Returns:
        Name and summary of each model that begins so.
    """
    from lrnn_cli.models.catalog import CATALOG

    return [(name, row.summary) for name, row in CATALOG.items() if name.startswith(incomplete)]


def _reads(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    """Lets the option parser put the option's name before the message of a ConfigError."""

    def reader(text: str) -> Any:
        try:
            return parse(text)
        except ConfigError as error:
            raise ValueError(str(error)) from error

    return reader


def _remember_verbose(context: typer.Context, value: int) -> int:
    session = context.find_object(Session)
    if session is not None:
        session.verbose = value
    return value


def _option(*names: str, panel: str, help: str, **more: Any) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


# What is fitted
Model = Annotated[
    str | None,
    _option(
        "--model", "-m", panel=MODEL, metavar="NAME", autocompletion=complete_models,
        help="Network to fit; 'lrnn models' lists them.",
    ),
]  # fmt: skip
Params = Annotated[
    int | None,
    _option(
        "--params", "-p", panel=MODEL, metavar="N", parser=_reads(parse_count),
        help="Parameter budget, as 200000, 200k or 1.5M; the width of any model follows from it.",
    ),
]  # fmt: skip
Rank = Annotated[
    int | None,
    _option("--rank", panel=MODEL, metavar="R", min=1, help="LRNN: separation rank r, neurons per layer."),
]
Dbar = Annotated[
    int | None,
    _option("--dbar", panel=MODEL, metavar="D", min=1, help="LRNN: factors per neuron; 1 is an MLP."),
]
Depth = Annotated[
    int | None,
    _option("--depth", panel=MODEL, metavar="L", min=1, help="Layers before the linear output layer."),
]
Width = Annotated[int | None, _option("--width", panel=MODEL, metavar="N", min=1, help="Neurons per layer.")]
ComponentWidth = Annotated[
    int | None,
    _option(
        "--component-width", panel=MODEL, metavar="M", min=1, help="LRNN: terms M of each component function."
    ),
]
Sigma = Annotated[
    str | None,
    _option(
        "--sigma",
        panel=MODEL,
        metavar="NAME",
        help="LRNN: univariate function of the components: sin, spder, …",
    ),
]
Components = Annotated[
    str | None,
    _option(
        "--components", panel=MODEL, metavar="flex|shared",
        help="LRNN: component functions of each neuron's own, or shared by a layer.",
    ),
]  # fmt: skip
OmegaFirst = Annotated[
    float | None,
    _option(
        "--omega-first",
        panel=MODEL,
        metavar="W",
        help="Base frequency of the first layer; higher: finer detail.",
    ),
]
OmegaHidden = Annotated[
    float | None,
    _option("--omega-hidden", panel=MODEL, metavar="W", help="Base frequency of the other layers."),
]
LayerNorm = Annotated[
    bool | None,
    _option("--layer-norm/--no-layer-norm", panel=MODEL, help="LRNN: LayerNorm after each layer."),
]
Set = Annotated[
    list[str] | None,
    _option(
        "--set", panel=MODEL, metavar="KEY=VALUE",
        help="Any other option of the model ('lrnn models NAME' lists them); may be repeated.",
    ),
]  # fmt: skip

# How it is fitted
Steps = Annotated[
    int | None,
    _option("--steps", panel=TRAINING, metavar="N", parser=_reads(parse_count), help="Stop after N steps."),
]
Time = Annotated[
    float | None,
    _option(
        "--time", "-t", panel=TRAINING, metavar="TIME", parser=_reads(parse_time),
        help="Stop after this time of training: 60s, 5m, 1h30m.",
    ),
]  # fmt: skip
Until = Annotated[
    str | None,
    _option("--until", panel=TRAINING, metavar="GOAL", help="Stop when this is reached: 40dB or mse=1e-5."),
]
BatchPoints = Annotated[
    Any,
    _option(
        "--batch-points", "-b", panel=TRAINING, metavar="N|full|auto", parser=_reads(parse_batch),
        help="Points per step: a count, all of them, or chosen for you.",
    ),
]  # fmt: skip
Lr = Annotated[
    float | None, _option("--lr", panel=TRAINING, metavar="RATE", help="Learning rate at the start.")
]
Schedule = Annotated[
    str | None,
    _option(
        "--schedule",
        panel=TRAINING,
        metavar="NAME",
        help="How the learning rate falls: exp, cos, linear or inverse with :END (exp:0.05 ends at 5 %), "
        "step:EVERY:FACTOR or const.",
    ),
]
Optimizer = Annotated[
    str | None,
    _option(
        "--optimizer",
        panel=TRAINING,
        metavar="NAME",
        help="Optimiser: adam, adamw, nadam or sgd; left out, adam, or what suits model and signal.",
    ),
]
Lstsq = Annotated[
    str | None,
    _option(
        "--lstsq", panel=TRAINING, metavar="WHEN",
        help="When to solve the output layer by least squares: start, plateau, end; or none.",
    ),
]  # fmt: skip
Guard = Annotated[
    bool | None,
    _option(
        "--guard/--no-guard", panel=TRAINING,
        help="Go back to a good state at a lower rate when the loss breaks out or nothing is learned.",
    ),
]  # fmt: skip
Warmup = Annotated[
    int | None,
    _option("--warmup", panel=TRAINING, metavar="N", min=0, help="Steps over which the rate rises from 0."),
]
BlockPoints = Annotated[
    Any,
    _option(
        "--block-points", panel=MACHINE, metavar="N|auto",
        parser=_reads(lambda text: parse_batch(text, ["auto"])),
        help="Points worked on at once by a thread: limits memory, changes no result beyond rounding.",
    ),
]  # fmt: skip
Seed = Annotated[
    int | None,
    _option(
        "--seed",
        panel=TRAINING,
        metavar="N",
        min=0,
        help="Seed of everything random; same seed, same result.",
    ),
]
Resume = Annotated[
    bool,
    _option(
        "--resume", panel=TRAINING, help="Go on from where an interrupted run of the same settings stopped."
    ),
]

# Where it runs
Device = Annotated[
    str | None, _option("--device", panel=MACHINE, metavar="NAME", help="auto, cpu, cuda or cuda:N.")
]
Precision = Annotated[
    str | None, _option("--precision", panel=MACHINE, metavar="NAME", help="Arithmetic: float32 or float64.")
]
Threads = Annotated[
    int | None, _option("--threads", panel=MACHINE, metavar="N", min=1, help="Processor cores to use.")
]
Engine = Annotated[
    str | None,
    _option(
        "--engine",
        panel=MACHINE,
        metavar="NAME",
        help="How product layers are evaluated; 'lrnn doctor' tells more.",
    ),
]
Backward = Annotated[
    str | None,
    _option(
        "--backward",
        panel=MACHINE,
        metavar="NAME",
        help="Products of the backward pass: auto, full, tf32 or bfloat16.",
    ),
]

# Where settings come from
Preset = Annotated[
    str | None,
    _option("--preset", panel=CONFIGURATION, metavar="NAME", help="A named set of settings to start from."),
]
Config = Annotated[
    Path | None,
    _option(
        "--config",
        "-c",
        panel=CONFIGURATION,
        metavar="FILE",
        help="Settings from a YAML file; flags override it.",
    ),
]
PrintConfig = Annotated[
    bool,
    _option(
        "--print-config",
        panel=CONFIGURATION,
        help="Print the settings that would be used, as YAML or with --json as JSON, and exit.",
    ),
]
DryRun = Annotated[
    bool,
    _option(
        "--dry-run", panel=CONFIGURATION, help="Say what would be done, with size and memory, and do nothing."
    ),
]

# What comes out
Output = Annotated[
    str | None,
    _option(
        "--output", "-o", panel=OUTPUT, metavar="PATH",
        help="Folder of the run, or - to write the result itself to stdout.",
    ),
]  # fmt: skip
Force = Annotated[bool, _option("--force", "-f", panel=OUTPUT, help="Overwrite what is there.")]
SkipExisting = Annotated[
    bool, _option("--skip-existing", panel=OUTPUT, help="Leave finished runs as they are.")
]
Json = Annotated[bool, _option("--json", panel=OUTPUT, help="Print the result as one JSON object.")]

# What is said
Quiet = Annotated[
    int,
    _option("--quiet", "-q", panel=MESSAGES, metavar="", count=True, help="No progress; twice: errors only."),
]
Verbose = Annotated[
    int,
    _option(
        "--verbose", "-v", panel=MESSAGES, metavar="", count=True, callback=_remember_verbose,
        help="More detail, and the traceback of an error.",
    ),
]  # fmt: skip
