"""Running `reconstruct-ct`: folder, progress, signals, table, result."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

from lrnn_cli.cli.done import check_intent, done_already
from lrnn_cli.cli.failures import ExitCode, classify
from lrnn_cli.cli.interrupts import StopFlag
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.stdin import read_stdin
from lrnn_cli.cli.tables import plain
from lrnn_cli.errors import DeviceError, FitError


def run_ct(
    source: str | None,
    settings: Any,
    tree: dict[str, Any],
    output: str | None,
    talk: Talk,
    *,
    force: bool,
    skip_existing: bool,
    resume: bool,
    dry_run: bool,
) -> int:
    """Read, reconstruct, write and report.

    Args:
        source: the slice, - for stdin; None for a measured sinogram.
        settings: a `tasks.ct_settings.CtSettings`.
        tree: the same as plain values.
        output: run folder; None for the usual one.
        talk: the program's voice.
        force: overwrite a run.
        skip_existing: leave a finished run as it is.
        resume: go on with an unfinished run.
        dry_run: say what would be done.

    Returns:
        The exit code.

    Raises:
        ConfigError: when a run is to be resumed and begun anew.
        FitError: when a network diverged; all results are written then.
    """
    from lrnn_cli.runs.reconstruct import CtFolder, execute_reconstruction, run_key
    from lrnn_cli.signals.sinogram import read_sinogram
    from lrnn_cli.signals.slices import read_slice

    check_intent(force=force, resume=resume)
    began = time.perf_counter()
    scan, first = settings.scan, settings.method.methods[0]
    name = "stdin" if source == "-" else Path(str(source or scan.sinogram)).stem
    folder = CtFolder(Path(output or f"runs/{name}/ct-{first}-s{settings.fit.seed}"))
    if source is not None:
        found: Any = read_slice(source, read_stdin() if source == "-" else None)
    else:
        found = read_sinogram(
            scan.sinogram, scan.angles, radians=scan.radians, layout=scan.layout, flat=scan.flat,
            dark=scan.dark, i0=scan.i0, electronic=scan.electronic,
        )  # fmt: skip
    task = _make_task(found, settings)
    for note in task.scan.notes:
        talk.note(f"{name}: {note}")
    for warning in task.scan.warnings:
        talk.warn(warning)
    if dry_run:
        _say_plan(talk, name, folder.path, task, settings, tree)
        return ExitCode.OK
    if (skip_existing or resume) and not force and folder.is_done():
        record = folder.read_metrics()
        said = done_already(
            folder.path,
            same_input=record.get("input", {}).get("sha256") == task.scan.source["sha256"],
            same_settings=record.get("run_key") == run_key(task, tree),
            resume=resume,
        )
        talk.result(f"{name}: {said} -> {folder.path}", record)
        return ExitCode.OK
    folder.claim(force=force, resume=resume)
    load_s = time.perf_counter() - began
    with StopFlag() as should_stop:
        with talk.progress(name) as show:
            result = execute_reconstruction(
                task, folder, settings=tree, command=["lrnn", *sys.argv[1:]], load_s=load_s, resume=resume,
                listener=show, should_stop=should_stop,
            )  # fmt: skip
        header, rows = result.table
        for line in plain(rows, header, "", range(1, len(header))).splitlines():
            talk.note(line)
        talk.result(f"{name}: {result.summary} -> {folder.path}", result.record)
        if result.record["status"] == "interrupted":  # a signal after the last step stops nothing
            should_stop.finish("stopped and saved; --resume with the same options goes on from there")
    if result.record["status"] == "failed":
        ends = result.record["chosen"].items()
        lost = [method for method, about in ends if about.get("outcome") == "diverged"]
        raise FitError(
            f"{name}: {', '.join(lost)} diverged, and the last good state was kept: use a lower --lr"
        )
    return ExitCode.OK


def _make_task(found: Any, settings: Any) -> Any:
    from lrnn_cli.tasks.reconstruct_ct import CtTask

    try:
        return CtTask(found, settings)
    except (MemoryError, RuntimeError) as error:
        if classify(error).code != ExitCode.DEVICE:
            raise
        size = f"--size {settings.scan.size}" if settings.scan.size else "the slice"
        raise DeviceError(f"{size}: too large for the memory; use a smaller --size") from error


def _say_plan(talk: Talk, name: str, folder: Path, task: Any, settings: Any, tree: dict[str, Any]) -> None:
    plans = {method: planned.plan.as_dict() for method, planned in task.plans.items()}
    sizes = [f"{method} with {plan['model']['params']} parameters" for method, plan in plans.items()]
    fit = settings.fit
    budget = f"{fit.steps} steps" if fit.steps else f"{fit.time_s:g} s"
    words = ", ".join([m for m in settings.method.methods if m not in plans] + sizes)
    summary = f"{name}: {words}; {task.scan.sentence}; {budget} per network -> {folder}"
    record = {"input": name, "folder": str(folder), "setting": task.scan.setting}
    talk.result(summary, {**record, "networks": plans, "settings": tree})
