"""`lrnn study`: plan, run, status, table and report of many runs described by one file."""

import time as clock
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lrnn_cli.cli import options as o
from lrnn_cli.cli import study_options as so
from lrnn_cli.cli.comparing import View, chosen_format, parse_goals, show, wanted_equal
from lrnn_cli.cli.failures import ExitCode
from lrnn_cli.cli.render import Talk, duration
from lrnn_cli.cli.study_places import Places
from lrnn_cli.cli.tables import show_table
from lrnn_cli.errors import ConfigError, OutputError

if TYPE_CHECKING:
    from lrnn_cli.studies.gather import Gathered
    from lrnn_cli.studies.jobs import Job, JobPlan, State

command = typer.Typer(
    help="Run inputs x models x seeds described by one file, on one machine or many, and report on them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@command.command("plan")
def plan(
    file: so.File,
    inputs: so.Inputs = None,
    folder: so.Folder = None,
    shard: so.Shard = None,
    job: so.JobNames = None,
    missing: so.Missing = False,
    ids: so.Ids = False,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """List the jobs of a study, and write nothing.

    With --json one frozen specification a line.
    """
    from lrnn_cli.cli.study_plan import load_plan, study_folder

    talk = Talk(quiet=quiet, verbose=verbose, json=json)
    planned = load_plan(file, inputs)
    root = study_folder(planned, folder)
    chosen = _choose(planned, shard, job)
    states = {one.id: one.folder(root).state() for one in chosen}
    if missing:
        chosen = [one for one in chosen if one.folder(root).settled() is None]
    for note in planned.notes:
        talk.note(note)
    if ids:
        for one in chosen:
            talk.result(one.id, {"id": one.id})
    elif json:
        for one in chosen:
            talk.result(
                "", {**one.as_dict(), "state": str(states[one.id]), "folder": str(one.folder(root).path)}
            )
    else:
        rows = [(one.id, one.input, one.label, one.seed, states[one.id]) for one in chosen]
        if rows:
            show_table(talk, rows, header=("job", "input", "model", "seed", "state"), numeric=(3,))
        talk.note(f"{_count(chosen)}, {_budget(chosen)} -> {root}")
    return ExitCode.OK


@command.command("run")
def run(
    file: so.File,
    inputs: so.Inputs = None,
    folder: so.Folder = None,
    shard: so.Shard = None,
    job: so.JobNames = None,
    jobs: so.JobCount = None,
    threads: so.Threads = None,
    stack: so.Stack = 1,
    dask: so.Dask = False,
    scheduler: so.Scheduler = None,
    connect_timeout: so.Timeout = 10.0,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Run the jobs that are not done; repeated, it goes on where it stopped.

    A job that diverged stays a failure; one that was killed or ended with an error is tried again by the
    next call.
    """
    from lrnn_cli.cli.interrupts import StopFlag
    from lrnn_cli.cli.study_plan import load_plan, study_folder
    from lrnn_cli.studies.jobs import State, missing

    talk = Talk(quiet=quiet, verbose=verbose, json=json)
    planned = load_plan(file, inputs)
    root = study_folder(planned, folder)
    for note in planned.notes:
        talk.note(note)
    chosen = _choose(planned, shard, job)
    todo = missing(chosen, root)
    if len(todo) < len(chosen):
        talk.note(f"{_count(chosen)}, {len(chosen) - len(todo)} of them done already")
    began = clock.monotonic()
    places = Places(jobs, threads, stack, dask, scheduler, connect_timeout)
    with ExitStack() as context, StopFlag() as should_stop:
        ended = places.run(context, todo, root, should_stop, talk)
        for number, (one, state) in enumerate(ended, 1):
            complaint = one.folder(root).complaint()
            seconds = duration(clock.monotonic() - began)
            talk.note(f"{number}/{len(todo)} {seconds}  {one.input}, {one.label}, seed {one.seed}: {state}")
            if complaint:
                talk.warn(f"{one.id} ({one.input}, {one.label}, seed {one.seed}): {complaint}")
        should_stop.finish("stopped; the same command goes on from there")
    states = Counter(one.folder(root).state() for one in chosen)
    summary = f"{planned.study.name}: {_count(chosen)}: {_tally(states)} -> {root}"
    talk.result(summary, {"study": planned.study.name, "folder": str(root), "states": dict(states)})
    return ExitCode.OK if states[State.DONE] == len(chosen) else ExitCode.BATCH


@command.command("status")
def status(
    file: so.File,
    inputs: so.Inputs = None,
    folder: so.Folder = None,
    shard: so.Shard = None,
    job: so.JobNames = None,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Tell how many jobs are done, running, failed and left, and why jobs failed."""
    from lrnn_cli.cli.study_plan import load_plan, study_folder

    talk = Talk(quiet=quiet, verbose=verbose, json=json)
    planned = load_plan(file, inputs)
    root = study_folder(planned, folder)
    chosen = _choose(planned, shard, job)
    found = [(one, one.folder(root)) for one in chosen]
    states = Counter(where.state() for _, where in found)
    complaints = [
        {"id": one.id, "input": one.input, "model": one.label, "seed": one.seed, "complaint": said,
         "folder": str(where.path)}
        for one, where in found if (said := where.complaint())
    ]  # fmt: skip
    record = {"study": planned.study.name, "folder": str(root), "jobs": len(chosen), "states": dict(states)}
    talk.result(
        f"{planned.study.name}: {_count(chosen)}: {_tally(states)} -> {root}",
        {**record, "failures": complaints},
    )
    if complaints and not json:
        rows = [[one[key] for key in ("id", "input", "model", "seed", "complaint")] for one in complaints]
        show_table(talk, rows, header=("job", "input", "model", "seed", "what went wrong"))
    return ExitCode.OK


@command.command("table")
def table(
    file: so.File,
    inputs: so.Inputs = None,
    folder: so.Folder = None,
    format: so.Format = None,
    targets: so.Targets = None,
    by_input: so.ByInput = False,
    equal: so.Equal = None,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Compare the rows of the study: the table of `lrnn compare` on its runs.

    Jobs that diverged, were killed or ended with an error count as failures; those that have not ended yet
    count neither way, and the table says how many they are.
    """
    from lrnn_cli.studies.comparison_file import Stored

    talk = Talk(quiet=quiet, verbose=verbose, json=json)
    view = View(chosen_format(format, json), targets, wanted_equal(equal), by_input, None)
    planned, found, goals = _gathered(file, inputs, folder, targets, talk)
    show(found.records, view, Stored(None, goals, False), None, {"study": planned.study.name}, talk)
    return ExitCode.OK


@command.command("report")
def report(
    file: so.File,
    inputs: so.Inputs = None,
    folder: so.Folder = None,
    output: so.ReportFile = Path("report.html"),
    targets: so.Targets = None,
    pictures: so.Pictures = 6,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Write the report of the study: one HTML page that needs no network.

    A sortable table, success rates and times to the targets with confidence bands, quality against time,
    pictures with a slider, sounds, and every figure's numbers to download.
    """
    from lrnn_cli.runs.folder import atomic_write
    from lrnn_cli.studies.comparison import compare
    from lrnn_cli.studies.media import exhibits
    from lrnn_cli.studies.report import build_page

    to_stdout = str(output) == "-"
    talk = Talk(quiet=quiet, verbose=verbose, json=json, data_on_stdout=to_stdout)
    if to_stdout:
        talk.check_data_stdout()
    elif output.exists() and not force:
        raise OutputError(f"{output} exists already; --force overwrites it, -o chooses another name")
    planned, found, goals = _gathered(file, inputs, folder, targets, talk)
    study = planned.study
    compared = compare(found.records, parse_goals(goals))
    shows = exhibits(found.runs, study.kind.measure, pictures)
    page = build_page(study.name, study.task, compared, shows, found.notes())
    content = page.encode()
    if to_stdout:
        talk.data(content)
    else:
        atomic_write(output, content)
    about = {"rows": len(compared.rows), "runs": len(found.records), "inputs_shown": len(shows)}
    where = "" if to_stdout else f" -> {output}"
    told = f"{study.name}: {len(found.records)} runs, {len(content) / 2**20:.1f} MiB{where}"
    talk.result(told, {"study": study.name, "report": str(output), "bytes": len(content), **about})
    return ExitCode.OK


@command.command("stack", hidden=True)
def stack(
    folder: so.StudyFolder,
    ids: so.StackIds,
    threads: o.Threads = None,
    json: o.Json = False,
    quiet: o.Quiet = 0,
    verbose: o.Verbose = 0,
) -> int:
    """Fit jobs of a study in one batch; `lrnn study run --stack` calls this.

    A job that cannot be fitted together with the others is left as it was.
    """
    from lrnn_cli.cli.stacking import fit_jobs

    return fit_jobs(folder, ids, threads, Talk(quiet=quiet, verbose=verbose, json=json))


def _gathered(
    file: Path, inputs: list[str] | None, folder: str | None, targets: str | None, talk: Talk
) -> "tuple[JobPlan, Gathered, str]":
    """Return plan, ended runs and targets: those given, else the study's, else the usual ones; or `none`."""
    from lrnn_cli.cli.study_plan import load_plan, study_folder
    from lrnn_cli.studies.gather import gather
    from lrnn_cli.studies.measures import DEFAULT_TARGETS

    planned = load_plan(file, inputs)
    found = gather(planned, study_folder(planned, folder))
    for note in found.notes():
        talk.warn(note)
    usual = DEFAULT_TARGETS.get(found.records[0].kind, "")
    return planned, found, targets or ",".join(map(str, planned.study.targets)) or usual


def _choose(planned: "JobPlan", shard: str | None, names: list[str] | None) -> "list[Job]":
    if shard is not None and names:
        raise ConfigError("--shard and --job exclude each other")
    if names:
        return planned.pick(names)
    return planned.shard(*_parse_shard(shard)) if shard is not None else list(planned.jobs)


def _parse_shard(text: str) -> tuple[int, int]:
    index, slash, count = text.partition("/")
    if not (slash and index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
        raise ConfigError(f"--shard {text}: expected I/N with I from 1 to N, as 1/16")
    return int(index), int(count)


def _count(jobs: "list[Job]") -> str:
    return f"{len(jobs)} job" if len(jobs) == 1 else f"{len(jobs)} jobs"


def _budget(jobs: "list[Job]") -> str:
    """Say how long the training of the jobs takes together, where their budgets tell."""
    budgets = [(one.config.get("fit") or one.config.get("solve") or {}).get("time_s") for one in jobs]
    known = [seconds for seconds in budgets if seconds]
    return f"{duration(sum(known))} of training" if len(known) == len(jobs) > 0 else "time unknown"


def _tally(states: "Counter[State]") -> str:
    from lrnn_cli.studies.jobs import State

    told = ", ".join(f"{states[state]} {state}" for state in State if states[state])
    return told or "nothing in this part of the study"
