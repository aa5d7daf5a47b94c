"""`lrnn fit-function`."""

from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.fitting import Medium, fit_command
from lrnn_cli.cli.shared import FITTING, MODEL, takes

PANEL = "The function"
FUNCTION_FLAGS = {
    name: name
    for name in "expression target dim mesh points epsilon alpha order k zygmund data_seed heldout".split()
}
TARGETS = (
    "high-frequency, random-labels, sharp-ring, sharp-line, cusp, cusp-log, anova, chirp, intermodulation"
)


def _option(*names: str, **more: Any) -> Any:
    return typer.Option(*names, rich_help_panel=PANEL, **more)


Expression = Annotated[
    str | None,
    typer.Argument(
        metavar="[EXPRESSION]",
        help="A function of x, y, z or x1 ... xd on [-1, 1]^d, as 'sin(8*pi*x)*exp(-y)'.",
        show_default=False,
    ),
]
TargetName = Annotated[str | None, _option("--target", metavar="NAME", help=f"A named one: {TARGETS}.")]
Dim = Annotated[
    int | None,
    _option("--dim", metavar="D", help="Dimension; by default the least that has all names used."),
]
Mesh = Annotated[int | None, _option("--mesh", metavar="N", help="Samples per axis of a regular mesh.")]
Points = Annotated[
    int | None,
    _option(
        "--points", metavar="N", parser=o._reads(o.parse_count),
        help="Scattered points instead of a mesh; from four dimensions on the default, 8192.",
    ),
]  # fmt: skip
Epsilon = Annotated[
    float | None, _option("--epsilon", metavar="E", help="Width of the layer of sharp-ring and sharp-line.")
]
Alpha = Annotated[float | None, _option("--alpha", metavar="A", help="Exponent of cusp and cusp-log.")]
Order = Annotated[int | None, _option("--order", metavar="M", help="Interaction order of anova.")]
K = Annotated[float | None, _option("--k", metavar="K", help="Wave number of high-frequency, times pi.")]
Zygmund = Annotated[
    float | None, _option("--zygmund", metavar="S", help="Order of the Zygmund seminorm, up to 2.")
]
DataSeed = Annotated[
    int | None, _option("--data-seed", metavar="N", help="Seed of random labels and scattered points.")
]
Heldout = Annotated[
    int | None,
    _option(
        "--heldout", metavar="N", parser=o._reads(o.parse_count),
        help="Fresh points for the error beside the samples, where there is no finer mesh.",
    ),
]  # fmt: skip


@takes(MODEL, ..., FITTING)
def command(
    expression: Expression = None,
    target: TargetName = None,
    dim: Dim = None,
    mesh: Mesh = None,
    points: Points = None,
    epsilon: Epsilon = None,
    alpha: Alpha = None,
    order: Order = None,
    k: K = None,
    zygmund: Zygmund = None,
    data_seed: DataSeed = None,
    heldout: Heldout = None,
    **shared: Any,
) -> int:
    """Fit a network to a function, named or written, and measure size, place and regularity of the error.

    The run folder is runs/FUNCTION/MODEL-sSEED unless -o says otherwise.
    """
    own = {key: value for key, value in locals().items() if key in FUNCTION_FLAGS}

    return fit_command([], {**shared, **own}, medium())


def medium() -> Medium:
    """Return the parts of this kind of signal."""
    from lrnn_cli.tasks.fit_function import FunctionTask, sample_function
    from lrnn_cli.tasks.function_settings import FunctionOptions, label

    return Medium(
        "function",
        FunctionOptions,
        FUNCTION_FLAGS,
        read=lambda name, options, data: sample_function(options),
        task=FunctionTask,
        suffixes=(),
        names=lambda options: [label(options)],
    )
