"""`lrnn fit-image`."""

from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.parse import parse_box, parse_size
from lrnn_cli.cli.render import Talk

PANEL = "The image"
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
IMAGE_FLAGS = {"alpha": "alpha", "grey": "grey", "resize": "resize", "crop": "crop"}

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="IMAGE...", help="Files or folders; - reads one image from stdin.", show_default=False
    ),
]
Alpha = Annotated[
    str | None,
    typer.Option(
        "--alpha",
        metavar="keep|drop",
        help="Fit the alpha channel too, or leave it out.",
        rich_help_panel=PANEL,
    ),
]
Grey = Annotated[bool | None, typer.Option("--grey", help="Convert to grey first.", rich_help_panel=PANEL)]
Resize = Annotated[
    str | None,
    typer.Option("--resize", metavar="WxH", help="Resize first, as 256x192.", rich_help_panel=PANEL),
]
Crop = Annotated[
    str | None,
    typer.Option(
        "--crop", metavar="X0,Y0,X1,Y1", help="Crop first; X1 and Y1 are not included.", rich_help_panel=PANEL
    ),
]


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
    alpha: Alpha = None,
    grey: Grey = None,
    resize: Resize = None,
    crop: Crop = None,
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
    """Fit a network to an image and write reconstruction, checkpoint, metrics and a preview.

    The run folder is runs/NAME/MODEL-sSEED unless -o says otherwise.
    """
    flags: dict[str, Any] = {**locals()}
    flags["resize"] = parse_size(resize, "--resize")
    flags["crop"] = parse_box(crop, "--crop")
    talk = Talk(quiet=quiet, verbose=verbose, json=json, data_on_stdout=output == "-")

    from lrnn_cli.cli.settings import dump, resolve
    from lrnn_cli.signals.image import ImageOptions

    settings, preset_name = resolve(flags, kind="image", options=ImageOptions, signal_flags=IMAGE_FLAGS)
    if print_config:
        import yaml

        talk.out(yaml.safe_dump(dump(settings), sort_keys=False).rstrip())
        return 0

    from lrnn_cli.cli.fitting import Choices, Kind, expand, run_inputs
    from lrnn_cli.signals.image import read_image
    from lrnn_cli.tasks.fit_image import ImageTask

    kind = Kind(
        read=lambda name, data: read_image(name, settings.image, data), task=ImageTask, suffixes=SUFFIXES
    )
    choices = Choices(output=output, force=force, skip_existing=skip_existing, resume=resume, dry_run=dry_run)
    return run_inputs(expand(inputs, SUFFIXES), kind, settings, preset_name, choices, talk)
