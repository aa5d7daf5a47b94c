"""One tomographic reconstruction from scan to finished folder.

output.tif, output.npy      the first method's slice in physical units
output.hu16.tif             the same in whole HU, where the units are HU
output.u16.png              the same over the data range in 16 bits
output.window.png           the same through a window in 8 bits
output.slices.npz           all methods, the truth where there is one, sinogram and angles
checkpoint.safetensors      the first network; checkpoint-NAME.safetensors further ones
config.yaml, train.jsonl, preview.png, metrics.json, resume/     as in every run folder
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lrnn_cli.fitting.checkpoint import Fitted, encode_fitted, load
from lrnn_cli.models.contract import use_engine
from lrnn_cli.runs import provenance
from lrnn_cli.runs.execute import SAVE_EVERY_S, STATUS, weight_bytes
from lrnn_cli.runs.folder import SCHEMA, RunFolder, atomic_write, finite, to_json
from lrnn_cli.tasks import ct_output as output
from lrnn_cli.tasks.ct_output import Reconstruction
from lrnn_cli.tasks.ct_settings import FILES
from lrnn_cli.tasks.ct_state import encode_run, restore_run
from lrnn_cli.tasks.reconstruct_ct import CtStep, CtTask

LOG_EVERY_S = 0.5


class CtFolder(RunFolder):
    """A run folder with the checkpoints of several networks in it."""

    def network(self, number: int, name: str) -> Path:
        """Return where the checkpoint of a network lies; the first has the usual name."""
        return self.checkpoint if number == 0 else self.path / f"checkpoint-{name}.safetensors"


@dataclass(frozen=True)
class CtResult:
    """The record that metrics.json holds, the one-line summary and the table of the methods."""

    record: dict[str, Any]
    summary: str
    table: tuple[list[str], list[list[str]]]


class CtLog:
    """The records of the training, one JSON object a line, kept where a resumed run finds them."""

    def __init__(self, folder: CtFolder, n_records: int) -> None:
        """Start a log, or continue that of an unfinished run behind its first records."""
        self.records: list[dict[str, Any]] = folder.read_live_log()[:n_records] if n_records else []
        self._noted_at = -LOG_EVERY_S

    def __call__(self, step: CtStep) -> None:
        """Take note of a step, unless one was noted a moment ago and nothing happened."""
        if step.event is None and 0 <= step.seconds - self._noted_at < LOG_EVERY_S:
            return  # the seconds of every network begin anew
        self._noted_at = step.seconds
        names = ("method", "step", "loss", "seconds", "event")
        record = {name: getattr(step, name) for name in names}
        self.records.append({key: value for key, value in record.items() if value is not None})

    def encode(self) -> bytes:
        """Return the log as JSON lines."""
        return b"".join(to_json(record, indent=None) for record in self.records)


def execute_reconstruction(
    task: CtTask,
    folder: CtFolder,
    *,
    settings: dict[str, Any],
    command: list[str],
    load_s: float,
    resume: bool = False,
    listener: Callable[[CtStep], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> CtResult:
    """Reconstruct in a folder that has been claimed.

    Args:
        task: scan and methods.
        folder: where.
        settings: as the user would write them.
        command: for the record.
        load_s: seconds that reading and simulating took.
        resume: continue from the state in the folder where there is one.
        listener: called with each step.
        should_stop: asked before each step.

    Returns:
        record, summary and table; on interruption of the methods that are done and the network in work.

    Raises:
        CheckpointError: when the state to resume from is corrupt or of another run.
        OutputError: when something cannot be written.
    """
    started = provenance.utc_now()
    key = run_key(task, settings)
    n_records = restore_run(task, folder.state, key) if resume and folder.is_unfinished() else 0
    log = CtLog(folder, n_records)
    atomic_write(folder.config, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode())

    def save() -> None:
        atomic_write(folder.live_log, log.encode())
        atomic_write(folder.state, encode_run(task, key, len(log.records)))

    began = saved_at = time.monotonic()
    for step in task.steps(should_stop):
        log(step)
        listener(step)
        if time.monotonic() - saved_at >= SAVE_EVERY_S:
            save()
            saved_at = time.monotonic()
    reconstruct_s = time.monotonic() - began
    if task.is_halted:
        save()
    written, networks = _save_networks(task, folder)
    found = task.reconstructions(networks)
    if found:
        for name, content in output.files_of(task.scan, found).items():
            atomic_write(folder.path / name, content)
            written[name.removeprefix("output.") if name != "output.tif" else "output"] = folder.path / name
        atomic_write(folder.preview, output.picture_of(task.scan, found))
        written["preview"] = folder.preview
    atomic_write(folder.log, log.encode())
    result = {**_record(task, found, settings, command, started), "run_key": key}
    result["time"] = {
        "load_s": round(load_s, 4),
        "reconstruct_s": round(reconstruct_s, 4),
        "eval_s": round(time.monotonic() - began - reconstruct_s, 4),
    }
    result["resources"] = provenance.resources(task.device, task.threads)
    result["outputs"] = {
        name: {"path": str(path), "sha256": provenance.digest(path.read_bytes())}
        for name, path in written.items()
    }
    result["finished_utc"] = provenance.utc_now()
    atomic_write(folder.metrics, to_json(result))
    if not task.is_halted:
        folder.finish()
    return CtResult(finite(result), output.summary_of(task.scan, found), output.table_of(task.scan, found))


def run_key(task: CtTask, settings: dict[str, Any]) -> str:
    """Return the digest of all that decides the result; the number of threads and names of files do not."""
    fit = {name: value for name, value in settings.get("fit", {}).items() if name != "threads"}
    scan = {name: value for name, value in settings.get("scan", {}).items() if name not in FILES}
    sizes = {name: planned.plan.n_params for name, planned in task.plans.items()}
    own = {"scan": scan, "fit": fit, "input": task.input_digest, "params": sizes}
    return provenance.config_digest({**settings, **own})


def _save_networks(task: CtTask, folder: CtFolder) -> tuple[dict[str, Path], dict[str, Fitted]]:
    """Write the networks and read them back, so that what is measured is what was saved."""
    written, networks = {}, {}
    for number, (name, fitted) in enumerate(task.networks().items()):
        path = folder.network(number, name)
        atomic_write(path, encode_fitted(fitted))
        networks[name] = load(path)
        use_engine(networks[name].model, str(task.about(name)["engine"]))
        written["checkpoint" if number == 0 else f"checkpoint_{name}"] = path
    return written, networks


def _record(
    task: CtTask,
    found: dict[str, Reconstruction],
    settings: dict[str, Any],
    command: list[str],
    started: str,
) -> dict[str, Any]:
    scan = task.scan
    network = next((name for name in found if name in task.plans), None)
    plan = None if network is None else task.plans[network].plan
    about = {} if network is None else found[network].about
    return {
        "schema": SCHEMA,
        "status": STATUS[task.outcome],
        "command": command,
        "input": {
            **{key: value for key, value in scan.source.items() if key != "name"},
            "sample_rate": None,
            "notes": [*scan.notes, *scan.warnings],
        },
        "model": {
            "name": network,
            "config": None if plan is None else plan.config.model_dump(mode="json"),
            "params": None if plan is None else plan.n_params,
            "bytes": None if plan is None else weight_bytes(plan.n_params, task.settings.fit.precision),
        },
        "train": {
            "seed": task.settings.fit.seed,
            "outcome": str(task.outcome),
            "steps": about.get("steps"),
            "lr": about.get("lr"),
            "optimizer": about.get("optimizer"),
            "precision": task.settings.fit.precision,
            "engine": about.get("engine"),
            "loss_final": about.get("loss_final"),
        },
        "metrics": output.metrics_of(scan, found),
        "methods": {name: one.metrics for name, one in found.items()},
        "chosen": {name: one.about for name, one in found.items()},
        "env": provenance.environment(),
        "started_utc": started,
        "config_sha256": provenance.config_digest(settings),
    }
