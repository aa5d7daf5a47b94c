"""`lrnn reconstruct-ct`."""

from typing import Annotated, Any

import typer

from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.shared import (
    MACHINE,
    MESSAGES,
    MODEL_OPTIONS,
    PRESET,
    RESUME,
    RUN_FOLDER,
    SETTINGS,
    TRAIN,
    only,
    takes,
)
from lrnn_cli.errors import ConfigError

MEASURED = "A measured scan"
SIMULATED = "A simulated scan"
SCAN = "Units and operator"
METHODS = "Methods"


def _option(*names: str, metavar: str, help: str, panel: str, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, show_default=False, **more)


def _flag(*names: str, help: str, panel: str) -> Any:
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)


Input = Annotated[
    str | None,
    typer.Argument(
        metavar="[SLICE]", help="DICOM, PNG, TIFF, NPY, … to simulate a scan of; - reads stdin.",
        show_default=False,
    ),
]  # fmt: skip
Sinogram = Annotated[
    str | None,
    _option("--sinogram", metavar="FILE", help="A measured sinogram: NPY, NPZ, TIFF or CSV.", panel=MEASURED),
]
Angles = Annotated[
    str | None,
    _option(
        "--angles", metavar="FILE|A:B:N", help="Angle of every view; 0:180:100 is half-open.", panel=MEASURED
    ),
]
Radians = Annotated[bool | None, _flag("--radians", help="The angles are in radians.", panel=MEASURED)]
Layout = Annotated[
    str | None,
    _option(
        "--layout", metavar="auto|angles-first|bins-first", help="Which axis comes first.", panel=MEASURED
    ),
]
Center = Annotated[
    str | None,
    _option(
        "--center", metavar="BIN|auto", help="Bin of the axis of rotation, or found in the data.",
        panel=MEASURED,
    ),
]  # fmt: skip
Flat = Annotated[
    str | None,
    _option("--flat", metavar="FILE", help="Open beam per bin; the sinogram holds counts.", panel=MEASURED),
]
Dark = Annotated[
    str | None, _option("--dark", metavar="FILE", help="Counts without a beam, per bin.", panel=MEASURED)
]
Views = Annotated[
    int | None, _option("--views", metavar="N", help="Number of views; 50.", panel=SIMULATED, min=1)
]
Range = Annotated[
    str | None,
    _option("--range", metavar="A:B", help="Degrees, half-open; 0:180, fan 0:360.", panel=SIMULATED),
]
Noise = Annotated[
    str | None,
    _option(
        "--noise", metavar="none|poisson|readout", help="poisson: counts; readout: on the line integrals.",
        panel=SIMULATED,
    ),
]  # fmt: skip
I0 = Annotated[
    float | None,
    _option(
        "--i0", metavar="N", help="Counts of the open beam; with --sinogram its values are counts.",
        panel=SCAN,
    ),
]  # fmt: skip
Electronic = Annotated[
    float | None, _option("--electronic", metavar="S", help="Noise of the electronics, counts.", panel=SCAN)
]
Tau = Annotated[
    float | None,
    _option("--tau", metavar="N", help="Readout noise: photons per pixel of white; 30.", panel=SIMULATED),
]
Readout = Annotated[
    float | None, _option("--readout", metavar="S", help="Readout noise, photons; 2.", panel=SIMULATED)
]
InverseCrime = Annotated[
    bool | None,
    _flag("--inverse-crime", help="Simulate with the operator that reconstructs.", panel=SIMULATED),
]
Operator = Annotated[
    str | None,
    _option(
        "--operator", metavar="joseph|strip|rotate", help="Projector; rotate-and-sum for parity runs only.",
        panel=SCAN,
    ),
]  # fmt: skip
Size = Annotated[
    int | None, _option("--size", metavar="N", help="Pixels per side of the slice.", panel=SCAN, min=8)
]
PixelSize = Annotated[
    float | None, _option("--pixel-size", metavar="H", help="Side of a pixel, such as mm.", panel=SCAN)
]
DetectorSpacing = Annotated[
    float | None, _option("--detector-spacing", metavar="D", help="Distance of the bins.", panel=SCAN)
]
MuWater = Annotated[
    float | None,
    _option(
        "--mu-water", metavar="MU", help="Attenuation of water per unit of length; gives HU.", panel=SCAN
    ),
]
Geometry = Annotated[
    str | None,
    _option(
        "--geometry", metavar="parallel|fan", help="Beam; fan: a source and a flat detector.", panel=SCAN
    ),
]
SourceDistance = Annotated[
    float | None,
    _option(
        "--source-distance", metavar="R", help="Fan beam: axis to source, in units of --pixel-size.",
        panel=SCAN,
    ),
]  # fmt: skip
DetectorDistance = Annotated[
    float | None,
    _option(
        "--detector-distance", metavar="R", help="Fan beam: axis to detector, in the same units.", panel=SCAN
    ),
]
MatrixMemory = Annotated[
    float | None,
    _option(
        "--matrix-memory", metavar="MB", panel=SCAN,
        help="Projection matrices above this are not stored; 1024.",
    ),
]  # fmt: skip
Method = Annotated[
    str | None,
    _option(
        "--method", "--model", "-m", metavar="LIST",
        help="Of fbp, sart, sirt, tv and any model; lrnn,fbp,sart,tv. The first is the result.",
        panel=METHODS,
    ),
]  # fmt: skip
Filter = Annotated[
    str | None,
    _option(
        "--filter", metavar="NAME", help="FBP: ramp, shepp-logan, cosine, hamming or hann.", panel=METHODS
    ),
]
Iterations = Annotated[
    str | None,
    _option("--iterations", metavar="N|auto", help="Of SART and SIRT.", panel=METHODS),
]
Tv = Annotated[
    str | None,
    _option(
        "--tv", metavar="W|auto", help="Weight of total variation, relative to max |A^T W p|.", panel=METHODS
    ),
]
Prior = Annotated[
    str | None,
    _option("--prior", metavar="tv+nlm|tv|nlm|none", help="What networks assume of slices.", panel=METHODS),
]
Bandwidth = Annotated[
    str | None,
    _option("--bandwidth", metavar="H|auto", help="Of the nonlocal means; water is 0.5.", panel=METHODS),
]
Ramp = Annotated[bool | None, _flag("--ramp", help="Ramp-filter the networks' residual.", panel=METHODS)]


@takes(
    ...,
    MODEL_OPTIONS,
    only(TRAIN, "steps time lr batch_points seed"),
    RESUME,
    only(MACHINE, "device threads engine"),
    PRESET,
    SETTINGS,
    RUN_FOLDER,
    MESSAGES,
)
def command(
    slice: Input = None,
    sinogram: Sinogram = None,
    angles: Angles = None,
    radians: Radians = None,
    layout: Layout = None,
    center: Center = None,
    flat: Flat = None,
    dark: Dark = None,
    views: Views = None,
    range: Range = None,
    noise: Noise = None,
    tau: Tau = None,
    readout: Readout = None,
    inverse_crime: InverseCrime = None,
    i0: I0 = None,
    electronic: Electronic = None,
    geometry: Geometry = None,
    source_distance: SourceDistance = None,
    detector_distance: DetectorDistance = None,
    operator: Operator = None,
    matrix_memory: MatrixMemory = None,
    size: Size = None,
    pixel_size: PixelSize = None,
    detector_spacing: DetectorSpacing = None,
    mu_water: MuWater = None,
    method: Method = None,
    filter: Filter = None,
    iterations: Iterations = None,
    tv: Tv = None,
    prior: Prior = None,
    bandwidth: Bandwidth = None,
    ramp: Ramp = None,
    **shared: Any,
) -> int:
    """Reconstruct a CT slice from few views, by networks and by classical methods side by side.

    Give a slice, and a scan of it is simulated, with figures against the truth; or give a measured sinogram
    with its angles. The run folder is runs/NAME/ct-METHOD-sSEED unless -o says otherwise.
    """
    flags: dict[str, Any] = {**locals()}
    flags |= flags.pop("shared")
    talk = Talk(quiet=shared["quiet"], verbose=shared["verbose"], json=shared["json"])
    output: str | None = shared["output"]
    if output == "-":
        raise ConfigError("-o -: a reconstruction is several files; give a folder")

    from lrnn_cli.cli.ct_flags import resolve_ct

    settings, _ = resolve_ct(flags)
    from lrnn_cli.tasks.ct_settings import dump

    tree = dump(settings)
    if shared["print_config"]:
        talk.settings(tree)
        return 0
    if (slice is None) == (settings.scan.sinogram is None):
        raise ConfigError("give either a SLICE to simulate a scan of, or --sinogram FILE with --angles")

    from lrnn_cli.cli.ct_run import run_ct

    how = {key: shared[key] for key in ("force", "skip_existing", "resume", "dry_run")}
    return run_ct(slice, settings, tree, output, talk, **how)
