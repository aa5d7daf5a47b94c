"""One run from signal to finished folder: train, save, read back, measure, write, and only then say done."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from lrnn_cli.errors import OutputError
from lrnn_cli.fitting.checkpoint import encode_fitted, load
from lrnn_cli.fitting.group import ALONE, Group
from lrnn_cli.fitting.loop import Step
from lrnn_cli.fitting.outcome import Outcome
from lrnn_cli.models.contract import use_engine
from lrnn_cli.runs import provenance
from lrnn_cli.runs.folder import OUTPUT_STEM, SCHEMA, RunFolder, atomic_write, finite, to_json, write_problem
from lrnn_cli.tasks.regression import Evaluation, Plan, SignalTask
from lrnn_cli.tasks.segments import Training, start_training

SAVE_EVERY_S = 30.0  # between copies of the state, in case the process is killed
LOG_EVERY_S = 0.05  # between records of the log, so that fast runs do not write a record per step


@dataclass(frozen=True)
class Request:
    """What is to be run: the task with its signal, the plan, and the settings as a user would write them."""

    task: SignalTask
    plan: Plan
    fit: Any
    settings: dict[str, Any]
    command: list[str]
    load_s: float
    preset: str
    group: Group = ALONE

    def run_key(self) -> str:
        """Return the digest of all that decides the result; the number of threads does not."""
        fit = {k: v for k, v in self.settings.get("fit", {}).items() if k != "threads"}
        return provenance.config_digest(
            {
                **self.settings,
                "fit": fit,
                "input": self.task.signal.sha256,
                "params": self.plan.n_params,
                "planned": self.plan.config.model_dump(mode="json"),  # what the signal decided, too
            }
        )


@dataclass(frozen=True)
class RunResult:
    """The record that metrics.json holds, the one-line summary and the bytes of the output."""

    record: dict[str, Any]
    summary: str
    output: bytes
    outcome: Outcome


class RunLog:
    """The training records, one JSON object a line, kept where a resumed run finds them."""

    def __init__(self, folder: RunFolder, last_step: int) -> None:
        """Start a log, or continue that of an unfinished run up to the step where it continues."""
        self.records: list[dict[str, Any]] = []
        if last_step:
            self.records = [record for record in folder.read_live_log() if record["step"] <= last_step]
        self._written_at = -1.0

    def __call__(self, step: Step) -> None:
        """Take note of a step, unless one was noted a moment ago and nothing happened."""
        if step.event is None and step.seconds - self._written_at < LOG_EVERY_S:
            return
        self._written_at = step.seconds
        names = ("step", "loss", "psnr_db", "lr", "seconds", "event")
        record = {name: getattr(step, name) for name in names}
        self.records.append({k: v for k, v in record.items() if v is not None})

    def encode(self) -> bytes:
        """Return the log as JSON lines."""
        return b"".join(to_json(record, indent=None) for record in self.records)


def execute(
    request: Request,
    folder: RunFolder,
    *,
    resume: bool = False,
    listener: Callable[[Step], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Run a task in a folder that has been claimed.

    Args:
        request: what to run.
        folder: where; see `RunFolder.claim`.
        resume: continue from the state in the folder where there is one.
        listener: called with each step.
        should_stop: asked before each step.

    Returns:
        record, summary and output; on interruption those of the weights as they were.

    Raises:
        OutputError: when something cannot be written.
        CheckpointError: when the state to resume from is corrupt or of another run.
        DeviceError: when memory runs out.
        FitError: when training failed from its first step.
    """
    started = provenance.utc_now()
    run = _start(request)
    try:
        if request.group.first(resume and folder.is_unfinished()):
            run.resume_from(folder.state, request.run_key())
        log = RunLog(folder, run.trainer.step)
        settings = yaml.safe_dump(request.settings, sort_keys=False, allow_unicode=True)
        atomic_write(folder.config, settings.encode())
        _train(run, request, folder, log, listener, should_stop)
        return finish(request, run, folder, log, started)
    except OSError as error:
        raise OutputError(write_problem(folder.path, error)) from error
    finally:
        run.close()


def assist(
    request: Request, folder: RunFolder, *, should_stop: Callable[[], bool] = lambda: False
) -> Outcome | None:
    """Do the share of a process other than the first in the run that the first executes; write nothing.

    Args:
        request: the same as that of the first process.
        folder: where the state to resume from lies, if the first process resumes.
        should_stop: asked before each step.

    Returns:
        how the training ended.
    """
    run = _start(request)
    try:
        if request.group.first(False):
            run.resume_from(folder.state, request.run_key())
        for _ in run.steps(should_stop):
            pass
        return run.trainer.outcome
    finally:
        run.close()


def _start(request: Request) -> Training:
    signal, transform = request.task.signal, request.task.transform()
    return start_training(signal, transform, request.plan, request.fit, request.group)


def finish(request: Request, run: Training, folder: RunFolder, log: RunLog, started: str) -> RunResult:
    """Write what a run leaves behind: save, read back, measure, and last of all metrics.json.

    Args:
        request: what was run.
        run: trained, or as far as it came.
        folder: where.
        log: of the training.
        started: when, as `provenance.utc_now` says it.

    Returns:
        record, summary and output.

    Raises:
        OutputError: when something cannot be written.
    """
    outcome = run.trainer.outcome or Outcome.BUDGET
    began = time.perf_counter()
    atomic_write(folder.checkpoint, encode_fitted(run.fitted()))
    fitted = load(folder.checkpoint)
    use_engine(fitted.model, run.engine.name)
    evaluation = request.task.evaluate(fitted, run.runner)
    output = folder.path / f"{OUTPUT_STEM}{evaluation.suffix}"
    atomic_write(output, evaluation.output)
    atomic_write(folder.preview, request.task.picture(evaluation, log.records))
    atomic_write(folder.log, log.encode())
    files = {"output": output, "checkpoint": folder.checkpoint, "preview": folder.preview}
    record = _record(request, run, evaluation, outcome, started, time.perf_counter() - began)
    record["outputs"] = {
        name: {"path": str(path), "sha256": provenance.digest(path.read_bytes())}
        for name, path in files.items()
    }
    atomic_write(folder.metrics, to_json(record))
    if outcome is not Outcome.INTERRUPTED:
        folder.finish()
    return RunResult(finite(record), evaluation.summary, evaluation.output, outcome)


def _train(
    run: Training,
    request: Request,
    folder: RunFolder,
    log: RunLog,
    listener: Callable[[Step], None],
    should_stop: Callable[[], bool],
) -> None:
    key = request.run_key()

    def save() -> None:
        atomic_write(folder.live_log, log.encode())
        atomic_write(folder.state, run.state(key))

    saved_at = time.monotonic()
    for step in run.steps(should_stop):
        log(step)
        listener(step)
        if time.monotonic() - saved_at >= SAVE_EVERY_S:
            save()
            saved_at = time.monotonic()
    if run.trainer.outcome is Outcome.INTERRUPTED:
        save()


STATUS = {
    Outcome.BUDGET: "ok",
    Outcome.TARGET: "ok",
    Outcome.INTERRUPTED: "interrupted",
    Outcome.DIVERGED: "failed",
}


def weight_bytes(n_params: int, precision: str) -> int:
    """Return the bytes of so many weights in the arithmetic that trained them, float32 or float64."""
    return n_params * (4 if precision == "float32" else 8)


def _record(
    request: Request, run: Training, evaluation: Evaluation, outcome: Outcome, started: str, eval_s: float
) -> dict[str, Any]:
    signal, plan = request.task.signal, request.plan
    trainer = run.trainer
    return {
        "schema": SCHEMA,
        "status": STATUS[outcome],
        "run_key": request.run_key(),
        "command": request.command,
        "input": {
            "path": signal.path,
            "sha256": signal.sha256,
            "kind": signal.kind,
            "shape": list(signal.values.shape),
            "dtype": signal.format.get("dtype"),
            "sample_rate": signal.format.get("sample_rate"),
            "notes": list(signal.notes),
        },
        "model": {
            "name": plan.model_name,
            "config": plan.config.model_dump(),
            "params": plan.n_params,
            "bytes": weight_bytes(plan.n_params, run.fit.precision),
        },
        "preset": request.preset,
        "train": run.summary(),
        "metrics": evaluation.metrics,
        "time": {
            "load_s": round(request.load_s, 4),
            "train_s": round(trainer.elapsed, 4),
            "eval_s": round(eval_s, 4),
            "steps_per_s": round(trainer.step / trainer.elapsed, 4) if trainer.elapsed else None,
        },
        "resources": provenance.resources(plan.device, plan.threads),
        "env": provenance.environment(),
        "started_utc": started,
        "finished_utc": provenance.utc_now(),
        "config_sha256": provenance.config_digest(request.settings),
        "outputs": {},
    }
