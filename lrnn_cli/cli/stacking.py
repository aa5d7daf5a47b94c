"""The process of a stack: reads the frozen jobs, puts those of one kind together and fits each such batch."""

import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrnn_cli.cli.failures import ExitCode, classify, one_line
from lrnn_cli.cli.interrupts import StopFlag
from lrnn_cli.cli.render import Talk
from lrnn_cli.errors import InputError, LrnnError

if TYPE_CHECKING:
    from lrnn_cli.runs.execute_stack import Entry
    from lrnn_cli.studies.jobs import JobFolder

MEDIA = {  # command → the module that names the parts of its kind of signal
    "fit-image": "lrnn_cli.cli.commands.fit_image",
    "fit-audio": "lrnn_cli.cli.commands.fit_audio",
    "fit-function": "lrnn_cli.cli.commands.fit_function",
}


def fit_jobs(root: Path, ids: Sequence[str], threads: int | None, talk: Talk) -> int:
    """Fit jobs of a study in batches; a job that has to go alone is left as it was.

    Args:
        root: folder of the study.
        ids: of the jobs, whose folders hold job.json.
        threads: CPU threads.
        talk: the program's voice.

    Returns:
        the exit code.
    """
    from lrnn_cli.runs.execute_stack import execute_stack, stack_key
    from lrnn_cli.studies.jobs import JOBS, JobFolder

    batches: dict[str, list[Entry]] = {}
    for name in ids:
        folder = JobFolder(root / JOBS / name)
        try:
            entry = _prepare(folder, threads)
        except LrnnError as error:  # run alone, the job says so itself
            talk.note(f"{name}: left out of the stack: {one_line(classify(error).message)}")
            continue
        key = stack_key(entry.request)
        if key is None:
            talk.note(f"{name}: left out of the stack: it is not limited by steps alone")
        else:
            batches.setdefault(key, []).append(entry)
    with StopFlag() as should_stop:
        for entries in batches.values():
            if len(entries) < 2 or should_stop():
                continue
            for entry in entries:
                entry.folder.claim(force=True, resume=False)
            results = execute_stack(entries, should_stop=should_stop)
            done = sum(result is not None for result in results)
            talk.note(f"{done} of {len(entries)} jobs fitted in one batch")
        should_stop.finish("stopped; a stack begins anew")
    return ExitCode.OK


def _prepare(folder: "JobFolder", threads: int | None) -> "Entry":
    """Read a job and its signal, and make its plan as its own command would."""
    from lrnn_cli.cli.merge import merge
    from lrnn_cli.cli.settings import DEFAULT_PRESET, dump
    from lrnn_cli.runs.execute import Request
    from lrnn_cli.runs.execute_stack import Entry
    from lrnn_cli.tasks.settings import model_choice, settings_class

    began = time.perf_counter()
    job = _read(folder)
    medium = importlib.import_module(MEDIA[job["task"]]).medium()
    tree = {**job["config"]}
    tree["fit"] = {**tree["fit"], "seed": job["seed"], "threads": threads}
    cls = settings_class(job["model"], medium.name, medium.options)
    settings: Any = merge(cls, yaml=tree, yaml_name=str(folder.spec))
    group = getattr(settings, medium.name)
    signal = medium.read(job["path"] or job["input"], group, None)
    task = medium.task(signal, group)
    request = Request(
        task=task,
        plan=task.plan(model_choice(settings), settings.fit),
        fit=settings.fit,
        settings=dump(settings),
        command=["lrnn", *sys.argv[1:]],
        load_s=time.perf_counter() - began,
        preset=DEFAULT_PRESET,
    )
    return Entry(request, folder.run)


def _read(folder: "JobFolder") -> dict[str, Any]:
    try:
        job = json.loads(folder.spec.read_bytes())
        known: dict[str, Any] = {
            key: job[key] for key in ("task", "model", "seed", "input", "path", "config")
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder.spec}: not the specification of a job ({error})") from error
    if known["task"] not in MEDIA:
        raise InputError(f"{folder.spec}: {known['task']} is not fitted in stacks")
    return known
