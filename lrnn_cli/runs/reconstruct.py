"""One tomographic reconstruction from scan to finished folder.

output.tif, output.npy      the first method's slice in physical units
output.u16.png              the same over the data range in 16 bits
output.window.png           the same through a window in 8 bits
output.slices.npz           all methods, the truth where there is one, sinogram and angles
checkpoint.safetensors      the first network; checkpoint-NAME.safetensors further ones
config.yaml, train.jsonl, preview.png, metrics.json     as in every run folder
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from lrnn_cli.errors import FitError, OutputError
from lrnn_cli.fitting.checkpoint import Fitted, encode_fitted, load
from lrnn_cli.runs import provenance
from lrnn_cli.runs.folder import SCHEMA, RunFolder, atomic_write, finite, to_json, write_problem
from lrnn_cli.tasks.reconstruct_ct import CtStep, CtTask, Reconstruction
from lrnn_cli.tasks.regression import use_engine

LOG_EVERY_S = 0.5


class CtFolder(RunFolder):
    """A run folder with the checkpoints of several networks in it."""

    def network(self, number: int, name: str) -> Path:
        """Return where the checkpoint of a network lies; the first has the usual name."""
        return self.checkpoint if number == 0 else self.path / f"checkpoint-{name}.safetensors"

    def claim(self, *, force: bool, resume: bool = False) -> None:
        """Make the folder ready, and refuse to overwrite a run unasked; with force the old networks go.

        Raises:
            OutputError: when a run lies here and force is not given, or the folder cannot be made.
        """
        super().claim(force=force, resume=resume)
        for path in self.path.glob("checkpoint-*.safetensors"):
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(write_problem(path, error)) from error


@dataclass(frozen=True)
class CtResult:
    """The record that metrics.json holds, the one-line summary and the table of the methods."""

    record: dict[str, Any]
    summary: str
    table: tuple[list[str], list[list[str]]]


def execute_reconstruction(
    task: CtTask,
    folder: CtFolder,
    *,
    settings: dict[str, Any],
    command: list[str],
    load_s: float,
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
        listener: called with each step.
        should_stop: asked before each step.

    Returns:
        record, summary and table; on interruption of the methods that are done.

    Raises:
        FitError: when it was interrupted before any method was done.
        OutputError: when something cannot be written.
    """
    started = provenance.utc_now()
    atomic_write(folder.config, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode())
    began = time.perf_counter()
    log: list[dict[str, Any]] = []
    for step in task.steps(should_stop):
        if step.event is not None or not log or step.seconds - log[-1]["seconds"] >= LOG_EVERY_S:
            record = {"step": step.step, "loss": step.loss, "seconds": step.seconds, "event": step.event}
            log.append({key: value for key, value in record.items() if value is not None})
        listener(step)
    reconstruct_s = time.perf_counter() - began
    written, networks = _save_networks(task, folder)
    found = task.reconstructions(networks)
    if not found:
        raise FitError("stopped before any method was done; nothing but the settings was written")
    for name, content in task.files(found).items():
        atomic_write(folder.path / name, content)
        written[name.removeprefix("output.") if name != "output.tif" else "output"] = folder.path / name
    atomic_write(folder.preview, task.picture(found))
    atomic_write(folder.log, b"".join(to_json(record, indent=None) for record in log))
    written["preview"] = folder.preview
    result = _record(task, found, settings, command, started)
    result["status"] = "interrupted" if should_stop() else "ok"
    result["train"]["outcome"] = "interrupted" if should_stop() else "budget"
    result["time"] = {
        "load_s": round(load_s, 4),
        "reconstruct_s": round(reconstruct_s, 4),
        "eval_s": round(time.perf_counter() - began - reconstruct_s, 4),
    }
    result["resources"] = provenance.resources(task.device, task.threads)
    result["outputs"] = {
        name: {"path": str(path), "sha256": provenance.digest(path.read_bytes())}
        for name, path in written.items()
    }
    result["finished_utc"] = provenance.utc_now()
    atomic_write(folder.metrics, to_json(result))
    return CtResult(finite(result), task.summary(found), task.table(found))


def _save_networks(task: CtTask, folder: CtFolder) -> tuple[dict[str, Path], dict[str, Fitted]]:
    """Write the networks and read them back, so that what is measured is what was saved."""
    written, networks = {}, {}
    for number, (name, fitted) in enumerate(task.done.networks.items()):
        path = folder.network(number, name)
        atomic_write(path, encode_fitted(fitted))
        networks[name] = load(path)
        use_engine(networks[name].model, str(task.done.about[name]["engine"]))
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
        "status": "ok",
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
            "bytes": None if plan is None else 4 * plan.n_params,
        },
        "train": {
            "seed": task.settings.fit.seed,
            "steps": about.get("steps"),
            "lr": about.get("lr"),
            "optimizer": task.settings.fit.optimizer if plan is not None else None,
            "precision": task.settings.fit.precision,
            "engine": about.get("engine"),
            "loss_final": about.get("loss_final"),
        },
        "metrics": task.metrics(found),
        "methods": {name: one.metrics for name, one in found.items()},
        "chosen": {name: one.about for name, one in found.items()},
        "env": provenance.environment(),
        "started_utc": started,
        "config_sha256": provenance.config_digest(settings),
    }
