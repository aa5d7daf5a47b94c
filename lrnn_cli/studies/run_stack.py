"""Stacks: jobs that differ in input and seed alone, fitted in one batch by one process.

A stack never makes a job fail: what it could not finish, since a loss broke out, the signals turned out to
be of different sizes or the process died, is run again as a job of its own.
"""

import contextlib
import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lrnn_cli.studies.attempts import locked, message_of, note, now, wait_for, writing
from lrnn_cli.studies.jobs import Job, State, digest
from lrnn_cli.studies.run_job import PROGRAM, run_job

# command → the group of its configuration that says how the input is read, which may differ in a stack
STACKED = {"fit-image": "image", "fit-audio": "audio", "fit-function": "function"}
ALONE_CODE = 5  # noted for a job that its stack gave up


def form_units(jobs: Sequence[Job], size: int, root: Path) -> list[list[Job]]:
    """Group jobs into stacks.

    Args:
        jobs: in their order.
        size: most jobs of a stack; 1 for no stacks.
        root: folder of the study.

    Returns:
        stacks and single jobs, in the order of their first job.
    """
    units: list[list[Job]] = []
    open_units: dict[str, list[Job]] = {}
    for job in jobs:
        key = _key(job) if size > 1 and not job.folder(root).run.is_unfinished() else None
        unit = open_units.get(key) if key is not None else None
        if unit is None or len(unit) == size:
            unit = []
            units.append(unit)
            if key is not None:
                open_units[key] = unit
        unit.append(job)
    return units


def _key(job: Job) -> str | None:
    """Return what jobs of a stack have in common as far as their configuration tells; None: it goes alone."""
    group = STACKED.get(job.task)
    fit = job.config.get("fit") or {}
    if group is None or not fit.get("steps") or fit.get("time_s") or fit.get("until"):
        return None
    if "plateau" in (fit.get("lstsq") or ()):
        return None
    return digest([job.task, {name: value for name, value in job.config.items() if name != group}])


def run_unit(
    jobs: Sequence[Job],
    root: Path,
    *,
    program: Sequence[str] = PROGRAM,
    threads: int | None = None,
    env: Mapping[str, str] | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> list[State]:
    """Run a stack, or a single job, unless it is settled.

    Args:
        jobs: one, or several that `form_units` put together.
        root: folder of the study.
        program: how to start lrnn.
        threads: CPU threads; None leaves it to the command.
        env: variables to set for it.
        should_stop: asked a few times a second.

    Returns:
        how each job stands now.

    Raises:
        OutputError: when a folder cannot be written.
    """
    if len(jobs) > 1:
        _run_stack(jobs, root, program, threads, env or {}, should_stop)
    return [
        job.folder(root).state()
        if len(jobs) > 1 and should_stop()
        else run_job(job, root, program=program, threads=threads, env=env, should_stop=should_stop)
        for job in jobs
    ]


def _run_stack(
    jobs: Sequence[Job],
    root: Path,
    program: Sequence[str],
    threads: int | None,
    env: Mapping[str, str],
    should_stop: Callable[[], bool],
) -> None:
    with contextlib.ExitStack() as stack:
        locks: dict[str, int] = {}
        for job in jobs:
            folder = job.folder(root)
            folder.freeze(job)
            lock = stack.enter_context(locked(folder, lambda: True))  # in work elsewhere: not ours
            if lock is not None and folder.settled() is None:
                locks[job.id] = lock
        mine = [job for job in jobs if job.id in locks]
        if len(mine) < 2 or should_stop():
            return
        command = [*program, "study", "stack", str(root), *locks, "-q"]
        command += ["--threads", str(threads)] if threads is not None else []
        folders = [job.folder(root) for job in mine]
        for folder in folders:
            note(folder, {"start": now(), "host": platform.node(), "pid": os.getpid(), "command": command})
        with writing(folders[0].log) as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={**os.environ, **env},
                pass_fds=tuple(locks.values()), start_new_session=True,
            )  # fmt: skip
            code = wait_for(process, should_stop)
        message = message_of(folders[0], code) if code else "not to be fitted in a stack"
        for folder in folders:
            if folder.settled():
                note(folder, {"end": now(), "code": 0, "message": ""})
            else:
                note(folder, {"end": now(), "code": code or ALONE_CODE, "message": message})
