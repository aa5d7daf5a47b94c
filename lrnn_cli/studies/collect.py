"""From run folders to records that can be compared; a run that failed stays a run that failed."""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from lrnn_cli.errors import CheckpointError, InputError
from lrnn_cli.runs.folder import RunFolder
from lrnn_cli.studies.jobs import JOBS, Job, JobFolder, digest

JOB = "job.json"
MARKS = ("metrics.json", JOB, "config.yaml")  # any of them says that a run began here
STATUSES = ("ok", "failed", "interrupted", "crashed")
KINDS = {
    "fit-image": "image",
    "fit-audio": "audio",
    "reconstruct-ct": "slice",
    "solve-poisson": "poisson",
    "fit-function": "function",
}

# The groups of config.yaml that say how a network was fitted; the others say what it was fitted to.
_HOW = ("model", "fit", "solve", "method")
# What may differ between repetitions: the seed, what is about the machine, and what else ran beside it.
_NOT_SETTINGS = ("seed", "threads", "device", "engine", "block_points", "methods")
_TIMES = ("train_s", "solve_s", "reconstruct_s")  # what the commands call the time of the fit


@dataclass(frozen=True)
class LogPoint:
    """One record of a training log: when, after how many steps, and the figures that it holds."""

    seconds: float
    step: int
    values: dict[str, float]


@dataclass(frozen=True)
class RunRecord:
    """What a comparison needs to know of one run.

    Attributes:
        folder: the run folder.
        kind: image, audio, slice, poisson, …; figures of different kinds share no table.
        input_id: digest of what was fitted: the file and how it was read, or the problem.
        input_name: what people call it.
        source: digest of the file or problem alone.
        model: its name.
        label: the row of a study that it belongs to; empty for a run on its own.
        settings: how it was fitted: config.yaml without the input, the seed and the machine.
        params: number of real parameters; None for no network, or when the run did not come so far.
        seed: of the run.
        status: one of `STATUSES`.
        reason: why it is not ok, in words; empty when it is.
        metrics: the numbers of metrics.json by name, an exact fit with an infinite PSNR.
        convention: how they are defined; figures of different conventions do not mix.
        steps: steps done.
        train_s: seconds of training.
        limit_steps: budget of steps that it was given, None where steps did not limit it.
        limit_s: budget of seconds of training, likewise.
        peak_mb: largest memory in MiB, of the GPU where there is one, else of the process.
        machine: device, threads and platform in words.
        training: optimizer and lr as the run took them: left to the command they depend on device and input.
        engine: of the product layers; engines agree to rounding.
        copies: further seeds for which a method that knows no seed gave the same, see `merge_copies`.
        log: the training log.
    """

    folder: Path
    kind: str
    input_id: str
    input_name: str
    source: str
    model: str
    label: str
    settings: dict[str, Any]
    params: int | None
    seed: int
    status: str
    reason: str = ""
    metrics: dict[str, float] = field(default_factory=dict)
    convention: str = ""
    steps: int | None = None
    train_s: float | None = None
    limit_steps: int | None = None
    limit_s: float | None = None
    peak_mb: float | None = None
    machine: str = ""
    training: dict[str, Any] = field(default_factory=dict)
    engine: str = ""
    copies: tuple[int, ...] = ()
    log: tuple[LogPoint, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether the run ended normally; all others count as failures."""
        return self.status == "ok"

    @property
    def variant(self) -> str:
        """Return the digest of model and settings: runs that share it are repetitions of one another."""
        return digest({"name": self.model, **self.settings})

    @property
    def origin(self) -> Path:
        """Return the folder of the study or comparison that the run is part of."""
        parent = self.folder.parent
        return parent.parent if parent.name == JOBS else parent

    @property
    def budget(self) -> int | None:
        """Return the budget of parameters that the width was solved for, None where the width was given."""
        groups = (self.settings.get(name) or {} for name in ("model", "solve"))
        return next((group["params"] for group in groups if group.get("params")), None)

    @property
    def s_per_step(self) -> float | None:
        """Return the mean seconds per step."""
        return self.train_s / self.steps if self.train_s is not None and self.steps else None


def find_runs(path: Path) -> list[Path]:
    """Return the run folders that a path stands for: itself, or all those below it, sorted.

    An unfinished run is among them, so that reading it fails: nothing is left out in silence.

    Raises:
        InputError: when there is none.
    """
    if not path.is_dir():
        raise InputError(f"{path}: no such run folder")
    if any((path / name).exists() for name in MARKS):
        return [path]
    found = sorted({each.parent for name in MARKS for each in path.rglob(name)})
    if not found:
        raise InputError(f"{path}: holds no run, metrics.json is missing; name run folders, or files to fit")
    return found


def collect(folder: Path, job: Job | None = None) -> RunRecord:
    """Read a run that has ended, well or not.

    Args:
        folder: a run folder, as every fitting command leaves it.
        job: what the plan of now calls it. Labels and names of inputs are no part of a job's id, so that
            those in job.json may be of an earlier plan; without a plan they are what is known.

    Returns:
        its record; `status` and `reason` say when it failed.

    Raises:
        CheckpointError: when it has no metrics, those of another schema, or none that make sense.
    """
    frozen = _read_job(folder)
    if frozen and job:
        frozen |= {"label": job.label, "input": job.input}
    if not (folder / "metrics.json").exists() and (folder / "config.yaml").exists() and not frozen:
        raise CheckpointError(
            f"{folder}: metrics.json is missing, the run has not finished; "
            f"finish it with --resume, or leave the folder out"
        )
    try:
        if frozen and not (folder / "metrics.json").exists():
            return _from_job(folder, frozen)
        return _from_metrics(folder, RunFolder(folder).read_metrics(), frozen)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise CheckpointError(f"{folder}: not a complete record of a run ({what})") from error


def collect_each(folder: Path, job: Job | None = None) -> list[RunRecord]:
    """Read a run that has ended; one that tried several methods on its data gives a record for each.

    Args:
        folder: as for `collect`.
        job: likewise.

    Returns:
        the records, as `collect`.
    """
    whole = collect(folder, job)
    if whole.status == "crashed":
        return [whole]
    record = RunFolder(folder).read_metrics()
    methods, chosen = record.get("methods") or {}, record.get("chosen") or {}
    found = []
    for name, figures in methods.items():
        about = chosen.get(name) or {}
        network = "params" in about
        classical = {k: v for k, v in whole.settings.items() if k == "method"}
        # one network that diverged makes the run a failed one, not the other methods
        is_well = whole.status == "failed" and about.get("outcome") != "diverged"
        found.append(
            dataclasses.replace(
                whole,
                model=name,
                label=whole.label if len(methods) == 1 else "",
                status="ok" if is_well else whole.status,
                reason="" if is_well else whole.reason,
                settings=whole.settings if network else classical,
                params=about.get("params"),
                metrics=_numbers(figures),
                steps=about.get("steps"),
                train_s=figures.get("seconds"),
                limit_steps=whole.limit_steps if network else None,
                limit_s=whole.limit_s if network else None,
                peak_mb=whole.peak_mb if len(methods) == 1 else None,
                training=_training(about) if network else {},
                engine=str(about.get("engine") or ""),
                log=(),
            )
        )
    return found or [whole]


def _from_metrics(folder: Path, record: dict[str, Any], job: dict[str, Any] | None) -> RunRecord:
    status = str(record["status"])
    model = record["model"]
    if status not in STATUSES:
        raise ValueError(f"status: expected one of {', '.join(STATUSES)}, got {status!r}")
    source, train, metrics = record["input"], record["train"], record["metrics"]
    time = record.get("time") or {}
    seconds = next((time[key] for key in _TIMES if time.get(key) is not None), None)
    given = _read_settings(folder)
    limits = given.get("fit") or given.get("solve") or {}
    reasons = {"failed": "the fit diverged", "interrupted": "interrupted before its end"}
    problem = source.get("problem") or {}
    name = problem.get("name") or Path(str(source.get("path") or "stdin")).name
    return RunRecord(
        folder=folder,
        kind=str(source["kind"]),
        input_id=_input_id(source, given),
        input_name=job["input"] if job else str(name),
        source=job["sha256"] if job else str(source.get("sha256") or digest(problem)),
        model=str(model["name"] or metrics["method"]),
        label=job["label"] if job else "",
        settings=_repeatable(given),
        params=None if model["params"] is None else int(model["params"]),
        seed=int(train["seed"]),
        status=status,
        reason=reasons.get(status, ""),
        metrics=_numbers(metrics),
        convention=f"{source['kind']}, range {float(metrics.get('data_range', 1)):g}",
        steps=None if train.get("steps") is None else int(train["steps"]),
        train_s=None if seconds is None else float(seconds),
        limit_steps=limits.get("steps"),
        limit_s=limits.get("time_s"),
        peak_mb=_peak_mb(record.get("resources") or {}),
        machine=_machine(record),
        training=_training(train) if given.get("fit") else {},
        engine=str(train.get("engine") or ""),
        log=tuple(_read_log(folder / "train.jsonl")),
    )


def _from_job(folder: Path, job: dict[str, Any]) -> RunRecord:
    """Return the record of a job that left no metrics."""
    attempts = JobFolder(folder).attempts()
    if not attempts:
        raise ValueError("the job has not been run yet")
    return RunRecord(
        folder=folder,
        kind=KINDS[job["task"]],
        input_id="",
        input_name=job["input"],
        source=job["sha256"],
        model=job["model"],
        label=job["label"],
        settings=_repeatable(_read_settings(folder) or job["config"]),
        params=None,
        seed=int(job["seed"]),
        status="crashed",
        reason=JobFolder(folder).complaint() or "stopped before it had a result",
    )


def _read_job(folder: Path) -> dict[str, Any] | None:
    """Return job.json of a run that is part of a study or comparison."""
    path = folder / JOB
    if not path.exists():
        return None
    try:
        job = json.loads(path.read_bytes())
        known = {key: job[key] for key in ("task", "input", "sha256", "model", "label", "seed")}
        return {**known, "config": dict(job.get("config") or {})}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: not the specification of a job ({error})") from error


def _input_id(source: dict[str, Any], settings: dict[str, Any]) -> str:
    """Return the digest of what a run fitted.

    A file counts with the way it was read: cropped or resized it is another input. A problem without a file
    is known by its equations, not by its name.
    """
    if source.get("sha256"):
        how = {key: value for key, value in settings.items() if key not in _HOW}
        return digest({"file": source["sha256"], "shape": source.get("shape"), "how": how})
    return digest({k: v for k, v in source["problem"].items() if k not in ("name", "source")})


def _repeatable(settings: dict[str, Any]) -> dict[str, Any]:
    """Return how a network was fitted, without what differs between repetitions."""
    return {
        group: {k: v for k, v in settings[group].items() if k not in _NOT_SETTINGS}
        for group in _HOW
        if isinstance(settings.get(group), dict)
    }


def _training(about: dict[str, Any]) -> dict[str, Any]:
    return {key: about[key] for key in ("optimizer", "lr") if about.get(key) is not None}


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Return the figures among the metrics; JSON has no infinity, so that an exact fit says so in a flag."""
    found = {
        key: float(value)
        for key, value in metrics.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and key != "data_range"
    }
    return found | ({"psnr_db": math.inf} if metrics.get("psnr_infinite") else {})


def _machine(record: dict[str, Any]) -> str:
    resources, env = record.get("resources") or {}, record.get("env") or {}
    cpu = resources.get("device") == "cpu"
    threads = f", {resources['threads']} threads" if cpu and resources.get("threads") else ""
    stack = (record.get("train") or {}).get("stack")
    shared = f", {stack} fits in one batch: times are its time divided by {stack}" if stack else ""
    return (
        f"{resources.get('device_name', 'unknown device')} ({resources.get('device', '?')}{threads}), "
        f"{env.get('platform', 'unknown platform')}, torch {env.get('torch', '?')}{shared}"
    )


def _peak_mb(resources: dict[str, Any]) -> float | None:
    found = resources.get("peak_cuda_mb")
    return found if found is not None else resources.get("peak_rss_mb")


def _read_settings(folder: Path) -> dict[str, Any]:
    path = folder / "config.yaml"
    try:
        settings = yaml.safe_load(path.read_bytes()) if path.exists() else {}
    except (OSError, yaml.YAMLError) as error:
        raise CheckpointError(f"{path}: not readable as YAML ({' '.join(str(error).split())})") from error
    return settings if isinstance(settings, dict) else {}


def _read_log(path: Path) -> list[LogPoint]:
    """Return the training log; a run without one is known by its final figures alone."""
    if not path.exists():
        return []
    found = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            record = json.loads(line)
            seconds, step = float(record["seconds"]), int(record["step"])
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{path}: line {number} is no record of training ({error})") from error
        values = {k: float(v) for k, v in record.items() if isinstance(v, int | float)}
        if "residual" in values:  # the log's name of what the result calls by where it is measured
            values["residual_heldout"] = values["residual"]
        found.append(LogPoint(seconds, step, values))
    return found
