"""Running a fitting command over one or many inputs: folders, progress, signals, results, exit codes."""

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrnn_cli.cli import failures
from lrnn_cli.cli.done import check_intent, done_already
from lrnn_cli.cli.failures import ExitCode
from lrnn_cli.cli.interrupts import StopFlag
from lrnn_cli.cli.render import Talk
from lrnn_cli.cli.stdin import read_stdin
from lrnn_cli.errors import ConfigError, FitError, InputError
from lrnn_cli.fitting.launch import place

if TYPE_CHECKING:
    from pydantic import BaseModel

    from lrnn_cli.signals.signal import Signal
    from lrnn_cli.tasks.regression import SignalTask

DEFAULT_FOLDER = "runs"
# A batch goes on after these.
_NEXT_PLEASE = (ExitCode.USAGE, ExitCode.FILE, ExitCode.DEVICE, ExitCode.DIVERGED)


@dataclass(frozen=True)
class Kind:
    """What differs between the fitting commands: how to read an input, and the task around it."""

    read: Callable[[str, bytes | None], "Signal"]
    task: Callable[["Signal"], "SignalTask"]
    suffixes: tuple[str, ...]


@dataclass(frozen=True)
class Medium:
    """A kind of signal, as the command that fits it names its parts.

    Attributes:
        name: its group in the settings, such as `image`.
        options: the class of that group.
        flags: flag → key in that group.
        read: from name, group and the bytes of stdin, None for a file, to the signal.
        task: from signal and group to the task.
        suffixes: of the files taken from a folder.
        names: from the group to what is fitted, where that is no file: then there are no inputs.
    """

    name: str
    options: "type[BaseModel]"
    flags: Mapping[str, str]
    read: Callable[[str, Any, bytes | None], "Signal"]
    task: Callable[["Signal", Any], "SignalTask"]
    suffixes: tuple[str, ...]
    names: Callable[[Any], Sequence[str]] | None = None


@dataclass(frozen=True)
class Choices:
    """The options of a fitting command that are about folders and output, not about the fit."""

    output: str | None
    force: bool
    skip_existing: bool
    resume: bool
    dry_run: bool


def fit_command(inputs: Sequence[str], flags: Mapping[str, Any], medium: Medium) -> int:
    """Do what a fitting command does once its own options are read.

    Args:
        inputs: files and folders, or - for stdin.
        flags: the values of all options by name, those of `shared.MODEL` and `shared.FITTING` among them.
        medium: what is fitted.

    Returns:
        the exit code, as `run_inputs`.
    """
    from lrnn_cli.cli.settings import dump, resolve

    nowhere = open(os.devnull, "w") if place().rank else None  # process 0 talks
    talk = Talk(
        quiet=flags["quiet"],
        verbose=flags["verbose"],
        json=flags["json"],
        data_on_stdout=flags["output"] == "-" and not flags["print_config"],
        stdout=nowhere,
        stderr=nowhere,
    )
    settings, preset_name = resolve(
        flags, kind=medium.name, options=medium.options, signal_flags=medium.flags
    )
    if flags["print_config"]:
        talk.settings(dump(settings))
        return ExitCode.OK
    group = getattr(settings, medium.name)
    kind = Kind(
        read=lambda name, data: medium.read(name, group, data),
        task=lambda signal: medium.task(signal, group),
        suffixes=medium.suffixes,
    )
    choices = Choices(**{field.name: flags[field.name] for field in fields(Choices)})
    found = expand(inputs, kind.suffixes) if medium.names is None else medium.names(group)
    try:
        return run_inputs(found, kind, settings, preset_name, choices, talk)
    finally:
        if place().size > 1:
            from lrnn_cli.fitting.group import leave

            leave()


def expand(inputs: Sequence[str], suffixes: tuple[str, ...]) -> list[str]:
    """Return the inputs with folders replaced by the files in them that have a known suffix, sorted by name.

    An empty or unreadable folder beside other inputs stays in the list, to be reported in its turn; so does a
    name that the system refuses.

    Raises:
        InputError: when the only input is a folder that holds none.
        OSError: when the system refuses the only input.
    """
    found: list[str] = []
    for name in inputs:
        try:
            found.extend(_files_of(name, suffixes))
        except (InputError, OSError):
            if len(inputs) == 1:
                raise
            found.append(name)
    return found


def _files_of(name: str, suffixes: tuple[str, ...]) -> list[str]:
    path = Path(name)
    if name == "-" or not path.is_dir():
        return [name]
    inside = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in suffixes and p.is_file())
    if not inside:
        raise InputError(f"{name}: a folder without files of a known kind ({' '.join(suffixes)})")
    return inside


def run_inputs(
    inputs: Sequence[str], kind: Kind, settings: Any, preset: str, choices: Choices, talk: Talk
) -> int:
    """Fit every input; in a batch one bad input is reported and the rest go on.

    Returns:
        the exit code: that of the only input, or 6 when inputs of a batch failed.

    Raises:
        ConfigError: when a batch asks for one stdout, or for stdin twice, or when runs are to be resumed and
            begun anew.
        Exception: what went wrong with the only input, or what would go wrong with every other.
    """
    check_intent(force=choices.force, resume=choices.resume)
    if choices.output == "-" and len(inputs) > 1:
        raise ConfigError("-o - takes one input: several results cannot share stdout")
    if choices.output == "-":
        talk.check_data_stdout()
    if inputs.count("-") > 1:
        raise ConfigError("- given twice: stdin can be read only once")
    if "-" in inputs and place().size > 1:
        raise ConfigError("-: the processes of torchrun cannot share stdin; give the file's name")
    many = len(inputs) > 1
    taken: set[str] = set()
    failed = tried = 0
    interrupted = False
    with StopFlag(announce=place().rank == 0) as should_stop:
        for name in inputs:
            tried += 1
            try:
                interrupted = _run_one(name, kind, settings, preset, choices, talk, should_stop, many, taken)
            except Exception as error:
                if not many or failures.classify(error).code not in _NEXT_PLEASE:
                    raise
                failed += 1
                failures.report(error, verbose=talk.level > 0)
            if should_stop():
                break
        if interrupted or tried < len(inputs):  # a signal after the last step of the last input stops nothing
            kept = choices.output != "-" and not choices.dry_run
            should_stop.finish(
                "stopped and saved; --resume with the same options goes on from there" if kept else "stopped"
            )
    if failed:
        talk.warn(f"{failed} of {len(inputs)} inputs failed")
        return ExitCode.BATCH
    return ExitCode.OK


def _folder_for(
    name: str, signal_name: str, settings: Any, output: str | None, many: bool, taken: set[str]
) -> Path:
    """Return the run folder of an input; in a batch, inputs that share a stem are told apart."""
    numbered = (f"{Path(name).name}-{k}" for k in itertools.count(2))
    stem = next(s for s in itertools.chain((signal_name, Path(name).name), numbered) if s not in taken)
    taken.add(stem)
    if output is None:
        return Path(DEFAULT_FOLDER) / stem / f"{settings.model.name}-s{settings.fit.seed}"
    return Path(output) / stem if many else Path(output)


def _run_one(
    name: str,
    kind: Kind,
    settings: Any,
    preset: str,
    choices: Choices,
    talk: Talk,
    should_stop: StopFlag,
    many: bool,
    taken: set[str],
) -> bool:
    """Fit an input; return whether a signal ended that before its end."""
    from lrnn_cli.cli.settings import dump
    from lrnn_cli.fitting.group import join
    from lrnn_cli.fitting.outcome import Outcome
    from lrnn_cli.runs.execute import Request, assist, execute
    from lrnn_cli.runs.folder import RunFolder
    from lrnn_cli.tasks.settings import model_choice

    began = time.perf_counter()
    stem = "stdin" if name == "-" else Path(name).stem
    temporary = tempfile.TemporaryDirectory() if choices.output == "-" else None
    try:
        output = temporary.name if temporary else choices.output
        folder = RunFolder(_folder_for(name, stem, settings, output, many, taken))
        if kind.suffixes:
            _files_of(name, kind.suffixes)  # says what is wrong with a folder
        signal = kind.read(name, read_stdin() if name == "-" else None)
        for note in signal.notes:
            talk.note(f"{name}: {note}")
        task = kind.task(signal)
        plan = task.plan(model_choice(settings), settings.fit)
        for note in plan.notes:
            talk.note(note)
        if choices.dry_run:
            target = Path("-") if temporary else folder.path
            _say_plan(talk, name, target, plan, settings, dump(settings))
            return False
        request = Request(
            task=task,
            plan=plan,
            fit=settings.fit,
            settings=dump(settings),
            command=["lrnn", *sys.argv[1:]],
            load_s=time.perf_counter() - began,
            preset=preset,
        )
        if (choices.skip_existing or choices.resume) and not choices.force and folder.is_done():
            record = folder.read_metrics()
            said = done_already(
                folder.path,
                same_input=record.get("input", {}).get("sha256") == task.signal.sha256,
                same_settings=record.get("run_key") == request.run_key(),
                resume=choices.resume,
            )
            talk.note(f"{name}: {said}, in {folder.path}")
            talk.result(f"{name}: {said} -> {folder.path}", record)
            return False
        request = replace(request, group=join(plan.device))
        if temporary is None and request.group.rank == 0:
            folder.claim(force=choices.force, resume=choices.resume)
        if request.group.rank > 0:
            return assist(request, folder, should_stop=should_stop) is Outcome.INTERRUPTED
        talk.debug(
            f"{plan.model_name}: {plan.n_params} parameters, engine {plan.engine.name} ({plan.engine.reason})"
        )
        with talk.progress(Path(name).name) as show:
            result = execute(request, folder, resume=choices.resume, listener=show, should_stop=should_stop)
        if choices.output == "-":
            talk.data(result.output)
        train_s = result.record["time"]["train_s"]
        where = "" if choices.output == "-" else f" -> {folder.path}"
        talk.result(f"{name}: {result.summary}, {train_s:.1f} s{where}", result.record)
        if result.record["status"] == "failed":
            raise FitError(f"{name}: {result.outcome.sentence}")
        return result.outcome is Outcome.INTERRUPTED
    finally:
        if temporary is not None:
            temporary.cleanup()


def _say_plan(talk: Talk, name: str, folder: Path, plan: Any, settings: Any, tree: dict[str, Any]) -> None:
    record = {"input": name, "folder": str(folder), **plan.as_dict(), "settings": tree}
    fit = settings.fit
    limits = [f"{fit.steps} steps"] if fit.steps else []
    limits += [f"{fit.time_s:g} s"] if fit.time_s else []
    summary = (
        f"{name}: {plan.model_name}, {plan.n_params} parameters, {plan.n_points} points x {plan.n_outputs}, "
        f"{plan.batch_points} points a step, {' or '.join(limits)}, {plan.optimizer} {plan.lr:g}, "
        f"engine {plan.engine.name} on {plan.device}, about {plan.memory_mb:.0f} MB -> {folder}"
    )
    talk.result(summary, record)
