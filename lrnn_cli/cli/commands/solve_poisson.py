"""`lrnn solve-poisson`."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.loading import no_garbage
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.shared import MACHINE, MESSAGES, MODEL, RUN_FOLDER, SETTINGS, TRAIN, only, takes
from lrnn_cli.errors import ConfigError

PROBLEM = "The problem"
SOLVER = "The solver"


def _option(*names: str, metavar: str, help: str, panel: str = PROBLEM, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, show_default=False, **more)


Problem = Annotated[
    str | None, _option("--problem", metavar="NAME", help="A named problem; 'list' lists them.")
]
WaveNumber = Annotated[float | None, _option("--k", metavar="K", help="Wave number of a named problem.")]
Dim = Annotated[
    int | None, _option("--dim", metavar="D", help="Dimension of a named problem, or of the unit box.")
]
DomainText = Annotated[
    str | None,
    _option(
        "--domain", metavar="SHAPE",
        help="box:0,0:1,2  disc:0,0:1  annulus:0,0:0.5:1  l-shape  polygon:0,0:2,0:1,1  "
        "implicit:-2,-1:2,1:x^2/4+y^2-1, where the expression is negative",
    ),
]  # fmt: skip
Source = Annotated[
    str | None, _option("--f", metavar="EXPR", help="Right-hand side of -Δu = f, as 'exp(x)*y^2'.")
]
Manufacture = Annotated[
    str | None,
    _option(
        "--manufacture", metavar="EXPR", help="An exact solution; f and boundary data are derived from it."
    ),
]
Exact = Annotated[
    str | None,
    _option(
        "--exact",
        metavar="EXPR",
        help="The exact solution, to measure against; in place of f and boundary data left out.",
    ),
]
Coefficient = Annotated[
    str | None,
    _option("--a", metavar="EXPR", help="a in -div(a grad u) + c u = f, without jumps; 1 if left out."),
]
Reaction = Annotated[
    str | None, _option("--c", metavar="EXPR", help="c in the same; negative for Helmholtz.")
]
Dirichlet = Annotated[
    list[str] | None,
    _option(
        "--dirichlet",
        metavar="[SIDE=]EXPR",
        help="u on a side, or on all; may be repeated; 0, or of --exact.",
    ),
]
Neumann = Annotated[
    list[str] | None,
    _option(
        "--neumann",
        metavar="[SIDE=]EXPR",
        help="Outward normal derivative of u; sides are named x0 x1 y0 y1 …",
    ),
]
TimeTo = Annotated[
    float | None,
    _option("--time-to", metavar="T", help="Solve u_t - div(a grad u) + b·grad u + c u = f for 0 < t <= T."),
]
Initial = Annotated[str | None, _option("--initial", metavar="EXPR", help="u at t = 0, with --time-to.")]
Velocity = Annotated[
    list[str] | None,
    _option(
        "--velocity", metavar="EXPR", help="b along an axis, with --time-to; once per axis; 0 if left out."
    ),
]
Param = Annotated[
    list[str] | None, _option("--param", metavar="NAME=VALUE", help="A number to use in the expressions.")
]
Solver = Annotated[
    str | None,
    _option(
        "--solver",
        metavar="auto|lstsq|lm|adam|lbfgs",
        panel=SOLVER,
        help="Linear least squares, Levenberg-Marquardt, Adam, or L-BFGS; the last three train --model.",
    ),
]
Features = Annotated[
    str | None,
    _option(
        "--features", metavar="auto|product|separable", panel=SOLVER, help="Features of the least squares."
    ),
]
CollocationKind = Annotated[
    str | None,
    _option(
        "--collocation", metavar="auto|gauss|sobol|adaptive", panel=SOLVER,
        help="Where the equation is asked for: quadrature nodes, Sobol points, or half by the residual.",
    ),
]  # fmt: skip
Omega = Annotated[
    float | None,
    _option(
        "--omega", metavar="W", panel=SOLVER, help="Largest frequency of the inner weights; else chosen."
    ),
]
UntilResidual = Annotated[
    float | None,
    _option("--until", metavar="RES", panel=SOLVER, help="Stop at this relative residual, as 1e-8."),
]
Enrich = Annotated[
    bool | None,
    typer.Option(
        "--enrich/--no-enrich", rich_help_panel=SOLVER, show_default=False,
        help="Add the singular functions of re-entrant corners.",
    ),
]  # fmt: skip
Reference = Annotated[
    str | None,
    _option(
        "--reference",
        metavar="auto|chebyshev|fd|fem|none",
        panel=SOLVER,
        help="Classical solver beside it: spectral or differences on boxes, finite elements in the plane.",
    ),
]
GridNodes = Annotated[
    int | None, _option("--grid", metavar="N", panel=o.OUTPUT, help="Nodes per axis of the files written.")
]

Device = Annotated[
    str | None,
    _option(
        "--device", metavar="NAME", panel=o.MACHINE,
        help="cpu if left out; cuda, cuda:N or auto for --solver adam and lbfgs.",
    ),
]  # fmt: skip
_SHARED = (
    MODEL,
    only(TRAIN, "time steps lr seed"),
    {"device": Device},
    only(MACHINE, "threads engine"),
    SETTINGS,
    {"grid": GridNodes},
    RUN_FOLDER,
    MESSAGES,
)
_SOLVE_FLAGS = (
    "solver model params lr features collocation rank dbar omega until steps enrich reference grid seed "
    "device threads engine"
).split()


@takes(..., *_SHARED)
def command(
    problem: Problem = None,
    k: WaveNumber = None,
    dim: Dim = None,
    domain: DomainText = None,
    f: Source = None,
    manufacture: Manufacture = None,
    exact: Exact = None,
    a: Coefficient = None,
    c: Reaction = None,
    dirichlet: Dirichlet = None,
    neumann: Neumann = None,
    time_to: TimeTo = None,
    initial: Initial = None,
    velocity: Velocity = None,
    param: Param = None,
    solver: Solver = None,
    features: Features = None,
    collocation: CollocationKind = None,
    omega: Omega = None,
    until: UntilResidual = None,
    enrich: Enrich = None,
    reference: Reference = None,
    **shared: Any,
) -> int:
    """Solve -div(a grad u) + c u = f with product networks, and say how far to trust the result.

    With --time-to the problem is unsteady: time t is the first coordinate of all files.
    The run folder is runs/PROBLEM/SOLVER-sSEED unless -o says otherwise.
    """
    flags: dict[str, Any] = {**locals(), **shared}
    output = shared["output"]
    talk = Talk(quiet=shared["quiet"], verbose=shared["verbose"], json=shared["json"])
    if output == "-":
        raise ConfigError("-o -: a solution is several files; give a folder")
    if problem == "list":
        from lrnn_cli.objectives.named_problems import NAMED, named_problem

        for name in NAMED:
            source = named_problem(name)["source"]
            talk.result(f"{name}: {source}", {"name": name, "source": source})
        return 0

    # read when torch loads: threads that wait sleep, and leave a busy machine to those that work
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    with no_garbage():
        from lrnn_cli.cli.problem_flags import resolve_problem

        settings = resolve_problem(flags, _SOLVE_FLAGS)
        tree = settings.model_dump(mode="json", exclude_none=True)
        if shared["print_config"]:
            talk.settings(tree)
            return 0

        from lrnn_cli.cli.done import done_already
        from lrnn_cli.cli.interrupts import StopFlag
        from lrnn_cli.runs.folder import RunFolder
        from lrnn_cli.runs.solve import execute_solution, run_key
        from lrnn_cli.tasks.solve_poisson import PoissonTask

        task = PoissonTask(settings.problem, settings.solve)
    name = settings.problem.name
    folder = RunFolder(Path(output or f"runs/{name}/{task.solver}-s{settings.solve.seed}"))
    if shared["dry_run"]:
        space = task.problem.n_inputs - task.problem.n_time
        told = f"{name}: {task.solver} until residual {task.target:g}, {space} dimensions"
        if task.problem.n_time:
            told += " and time"
        talk.result(
            f"{told} -> {folder.path}",
            {"name": name, "solver": task.solver, "folder": str(folder.path), **tree},
        )
        return 0
    if shared["skip_existing"] and not shared["force"] and folder.is_done():
        record = folder.read_metrics()
        asked = task.problem.config.model_dump(mode="json")
        said = done_already(
            folder.path,
            same_input=record.get("input", {}).get("problem") == asked,
            same_settings=record.get("run_key") == run_key(tree),
            kind="problem",
        )
        talk.result(f"{name}: {said} -> {folder.path}", record)
        return 0
    folder.claim(force=shared["force"], resume=False)
    for note in task.notes:
        talk.warn(note)
    with StopFlag() as should_stop:
        with talk.progress(name) as show:
            result = execute_solution(
                task,
                folder,
                settings=tree,
                command=["lrnn", *sys.argv[1:]],
                listener=show,
                should_stop=should_stop,
            )
        for note in task.solved.notes:
            talk.warn(note)
        seconds = result.record["time"]["solve_s"]
        talk.result(f"{name}: {result.summary}, {seconds:.1f} s -> {folder.path}", result.record)
        if result.record["status"] == "interrupted":  # a signal after the last step stops nothing
            should_stop.finish("stopped; the best solution so far is saved")
    return 0
