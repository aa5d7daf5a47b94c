"""`lrnn fit-image`."""

from typing import Annotated, Any

import typer

from lrnn_cli.cli.fitting import Medium, fit_command
from lrnn_cli.cli.parse import parse_box, parse_size
from lrnn_cli.cli.shared import FITTING, MODEL, takes

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


@takes(MODEL, ..., FITTING)
def command(
    inputs: Inputs,
    alpha: Alpha = None,
    grey: Grey = None,
    resize: Resize = None,
    crop: Crop = None,
    **shared: Any,
) -> int:
    """Fit a network to an image and write reconstruction, checkpoint, metrics and a preview.

    The run folder is runs/NAME/MODEL-sSEED unless -o says otherwise.
    """
    own = {
        "alpha": alpha,
        "grey": grey,
        "resize": parse_size(resize, "--resize"),
        "crop": parse_box(crop, "--crop"),
    }

    return fit_command(inputs, {**shared, **own}, medium())


def medium() -> Medium:
    """Return the parts of this kind of signal."""
    from lrnn_cli.signals.image import ImageOptions, read_image
    from lrnn_cli.tasks.fit_image import ImageTask

    return Medium(
        "image",
        ImageOptions,
        IMAGE_FLAGS,
        read=read_image,
        task=lambda signal, options: ImageTask(signal),
        suffixes=SUFFIXES,
    )
