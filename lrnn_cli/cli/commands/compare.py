"""`lrnn compare`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli.comparing import (
    DEFAULT_MODELS,
    DEFAULT_PARAMS,
    DEFAULT_TIME_S,
    FORMATS,
    View,
    chosen_format,
    compare_inputs,
    compare_runs,
    parse_words,
    split_words,
    wanted_equal,
)
from lrnn_cli.cli.render import Talk
from lrnn_cli.errors import ConfigError, InputError

if TYPE_CHECKING:
    from lrnn_cli.studies.execute import Question, Resolve, Source

WHAT = "What is run"
HOW = "How it is judged"


def _option(*names: str, metavar: str, help: str, panel: str = WHAT, **more: Any) -> Any:
    return typer.Option(*names, metavar=metavar, help=help, rich_help_panel=panel, show_default=False, **more)


Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="RUN...|INPUT...",
        help="Finished run folders, or files to fit; words after -- are options for every run.",
        show_default=False,
    ),
]
Models = Annotated[
    str | None, _option("--models", "-m", metavar="NAMES", help=f"Models, with commas; {DEFAULT_MODELS}.")
]
Seeds = Annotated[
    int | None, _option("--seeds", metavar="N", min=1, help="Every model runs with seeds 0 … N-1; 3.")
]
ParamsList = Annotated[
    str | None,
    _option("--params-list", metavar="N,N,…", help="Several budgets: a row for each model and budget."),
]
Task = Annotated[
    str | None,
    _option("--task", metavar="COMMAND", help="fit-image, fit-audio or reconstruct-ct; else by the file."),
]
Problem = Annotated[
    str | None, _option("--problem", metavar="NAME", help="A named Poisson problem in place of files.")
]
WaveNumber = Annotated[float | None, _option("--k", metavar="K", help="Its wave number.")]
Solver = Annotated[str | None, _option("--solver", metavar="NAME", help="Its solver, for every model.")]
Tune = Annotated[
    int | None,
    _option(
        "--tune", metavar="N", min=2,
        help="First N short trials of learning rate and frequency, the same for every model.",
    ),
]  # fmt: skip
Jobs = Annotated[
    int,
    _option("--jobs", "-j", metavar="N", min=1, help="Runs at once; the cores are shared among them; 1."),
]
Threads = Annotated[
    int | None,
    _option(
        "--threads", metavar="N", min=1,
        help="Processor cores of each run; all of them divided by --jobs if left out.",
    ),
]  # fmt: skip
Targets = Annotated[
    str | None,
    _option(
        "--targets", metavar="GOALS", panel=HOW,
        help="To be reached: 25,30,35,40 (dB), mse=1e-3,mse=1e-4, rel_l2=1e-3, or none.",
    ),
]  # fmt: skip
Equal = Annotated[
    str | None,
    _option(
        "--equal", metavar="params|time|steps", panel=HOW,
        help="Refuse a table in which this is not equal; several with commas.",
    ),
]  # fmt: skip
ByInput = Annotated[bool, typer.Option("--by-input", help="A table for each input.", rich_help_panel=HOW)]
Format = Annotated[
    str | None, _option("--format", metavar="|".join(FORMATS), help="Of the result; table.", panel=o.OUTPUT)
]
Folder = Annotated[
    Path | None,
    _option(
        "--output", "-o", metavar="DIR", panel=o.OUTPUT,
        help="Folder of the runs and of compare.json; comparisons/INPUT for new runs.",
    ),
]  # fmt: skip


def command(
    inputs: Inputs = None,
    models: Models = None,
    seeds: Seeds = None,
    params: o.Params = None,
    params_list: ParamsList = None,
    steps: o.Steps = None,
    time: o.Time = None,
    task: Task = None,
    problem: Problem = None,
    k: WaveNumber = None,
    solver: Solver = None,
    tune: Tune = None,
    jobs: Jobs = 1,
    threads: Threads = None,
    targets: Targets = None,
    equal: Equal = None,
    by_input: ByInput = False,
    format: Format = None,
    output: Folder = None,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Compare models on the same inputs with the same means: finished runs, or runs that are made now.

    Every figure is a mean over inputs and seeds; what a paired test does not separate from the best is marked
    as within noise. A run that fails counts as a failure. The same command again reuses what is there.
    """
    talk = Talk(quiet=quiet, verbose=verbose, json=json)
    view = View(chosen_format(format, json), targets, wanted_equal(equal), by_input, output)
    names, words = split_words(inputs or [])
    if problem is None and not names:
        raise ConfigError("nothing to compare: name run folders, files to fit, or --problem NAME")
    asked = {
        "--models": models, "--seeds": seeds, "--params": params, "--params-list": params_list,
        "--steps": steps, "--time": time, "--task": task, "--problem": problem, "--k": k,
        "--solver": solver, "--tune": tune, "--threads": threads, "--": words or None,
    }  # fmt: skip
    folders = [name for name in names if Path(name).is_dir()]
    if folders and models is None and problem is None:
        if len(folders) < len(names):
            other = next(name for name in names if name not in folders)
            raise ConfigError(
                f"{other}: not a run folder, while {folders[0]} is one; compare finished runs, or inputs"
            )
        surplus = next((name for name, value in asked.items() if value is not None), None)
        if surplus is not None:
            raise ConfigError(
                f"{surplus} is for runs to be made, and {folders[0]} is a folder of finished ones; "
                f"with --models its files are fitted"
            )
        return compare_runs(names, view, talk)
    from lrnn_cli.studies.execute import Question, check_words

    check_words(words)
    sources = _sources(names, task, problem, k)
    question = Question(
        sources=tuple(sources),
        models=_models(models, sources),
        budgets=_budgets(params, params_list, problem),
        seeds=tuple(range(seeds or 3)),
        steps=steps,
        time_s=_time(steps, time, problem, view.equal),
        words=(*words, *(("--solver", solver) if solver is not None else ())),
        resolve=_resolver(),
    )
    _check_equal(question, view.equal)
    return compare_inputs(question, tune or 0, jobs, threads, view, talk)


def _resolver() -> "Resolve":
    """Return a function that asks a command for its configuration, once for the same words."""
    from lrnn_cli.cli.resolving import resolved_config
    from lrnn_cli.studies.study import TASKS

    known: dict[tuple[str, ...], dict[str, Any]] = {}

    def resolve(task: str, words: Sequence[str]) -> dict[str, Any]:
        key = (task, *words)
        if key not in known:
            known[key] = resolved_config(task, words, takes_file=bool(TASKS[task].suffixes))
        return known[key]

    return resolve


def _sources(names: list[str], task: str | None, problem: str | None, k: float | None) -> "list[Source]":
    from lrnn_cli.studies.execute import file_source, problem_source, tell_apart
    from lrnn_cli.studies.study import TASKS

    if problem is not None:
        if names or task not in (None, "solve-poisson"):
            raise ConfigError("--problem stands in place of files: leave the files and --task out")
        return [problem_source(problem, ["--k", f"{k:g}"] if k is not None else [])]
    if k is not None:
        raise ConfigError("--k belongs to a Poisson problem: give --problem too")
    files = [name for name in TASKS if TASKS[name].suffixes]
    if task is not None and task not in files:
        raise ConfigError(f"--task {task}: expected {', '.join(files)}")
    known = [suffix for name in ([task] if task else files) for suffix in TASKS[name].suffixes]
    suffixes = tuple(dict.fromkeys(known))
    found = []
    for path in map(Path, names):
        inside = (
            sorted(p for p in path.iterdir() if p.suffix.lower() in suffixes) if path.is_dir() else [path]
        )
        if not inside:
            raise InputError(f"{path}: a folder without files of a known kind ({' '.join(suffixes)})")
        found += [file_source(each, task) for each in inside]
    digests = [source.sha256 for source in found]
    twin = next((s for n, s in enumerate(found) if s.sha256 in digests[:n]), None)
    if twin is not None:
        raise InputError(f"{twin.path}: given twice, or the same as another input; leave one of them out")
    return tell_apart(found)


def _models(text: str | None, sources: "list[Source]") -> tuple[str, ...]:
    from lrnn_cli.models.catalog import row

    names = parse_words(text or DEFAULT_MODELS, "--models")
    if any(source.task != "reconstruct-ct" for source in sources):  # whose methods need not be networks
        for name in names:
            row(name)
    return names


def _budgets(params: int | None, params_list: str | None, problem: str | None) -> tuple[int | None, ...]:
    if params is not None and params_list is not None:
        raise ConfigError("--params and --params-list exclude each other")
    if params_list is not None:
        return tuple(o.parse_count(word) for word in parse_words(params_list, "--params-list"))
    return (params if params is not None or problem is not None else DEFAULT_PARAMS,)


def _time(steps: int | None, time: float | None, problem: str | None, equal: tuple[str, ...]) -> float | None:
    """Return the budget of time: a minute, unless steps or the problem set the end."""
    if time is not None or steps is not None:
        return time
    return None if problem is not None and "time" not in equal else DEFAULT_TIME_S


def _check_equal(question: "Question", equal: tuple[str, ...]) -> None:
    """Refuse before hours of runs what the options do not even ask for."""
    if "steps" in equal and question.steps is None:
        raise ConfigError("--equal steps: give every model the same number with --steps N")
    if "time" in equal and question.time_s is None:
        raise ConfigError("--equal time: give every model the same time with --time 60s")
    if "params" in equal and question.budgets == (None,):
        raise ConfigError("--equal params: give every model the same number with --params N")
