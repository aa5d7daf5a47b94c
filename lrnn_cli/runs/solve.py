"""One solution from problem to finished folder: solve, save, read back, measure, write, then say done.

solution.npz, .csv, .vti or .vtu            grid or points, u, gradient, residual, exact where known
checkpoint.safetensors                      the field, to be evaluated anywhere
config.yaml, train.jsonl, preview.png, metrics.json     as in every run folder
"""

from __future__ import annotations

import importlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import yaml

from lrnn_cli.errors import FitError
from lrnn_cli.fitting.device import resolve_threads
from lrnn_cli.fitting.fields import encode, load
from lrnn_cli.fitting.solve_linear import SolveStep
from lrnn_cli.runs import provenance
from lrnn_cli.runs.folder import SCHEMA, RunFolder, atomic_write, to_json
from lrnn_cli.tasks.solve_poisson import PoissonTask, SolvedProblem


@dataclass(frozen=True)
class SolutionResult:
    """The record that metrics.json holds, and the one-line summary."""

    record: dict[str, Any]
    summary: str


def execute_solution(
    task: PoissonTask,
    folder: RunFolder,
    *,
    settings: dict[str, Any],
    command: list[str],
    listener: Callable[[SolveStep], None] = lambda step: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SolutionResult:
    """Solve a problem in a folder that has been claimed.

    Args:
        task: problem and solver.
        folder: where.
        settings: as the user would write them.
        command: for the record.
        listener: called with each step.
        should_stop: asked before each step.

    Returns:
        record and summary; on interruption those of the best solution so far.

    Raises:
        FitError: when there is no solution.
        OutputError: when something cannot be written.
    """
    started = provenance.utc_now()
    threads = resolve_threads(task.settings.threads)
    torch.set_num_threads(threads)
    atomic_write(folder.config, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode())
    # what draws may take a second to load: meanwhile the solver is busy in LAPACK
    threading.Thread(target=importlib.import_module, args=(task.picture_module,), daemon=True).start()
    began = time.perf_counter()
    log: list[dict[str, Any]] = []
    last = 0.0
    for step in task.steps(should_stop):
        log.append(
            {
                "step": step.step,
                "residual": step.loss,
                "error": step.error,
                "seconds": step.seconds,
                "event": step.event,
            }
        )
        last = step.loss
        listener(step)
    solve_s = time.perf_counter() - began
    # asked once: a signal while the files are written finds the work done
    outcome = "target" if task.solved.reached else "interrupted" if should_stop() else "budget"
    if task.solved.solution is None:
        raise FitError(
            f"{task.problem.config.name}: stopped before there was a solution (residual {last:.1e})"
        )
    about = {"solve": task.solved.about}
    atomic_write(folder.checkpoint, encode(task.solved.solution, task.problem, about))
    measured = time.perf_counter()
    solution, _, _ = load(folder.checkpoint)
    found = task.evaluate(solution)
    files = task.files(found)
    for name, content in files.items():
        atomic_write(folder.path / name, content)
    atomic_write(folder.preview, task.picture(found))
    atomic_write(folder.log, b"".join(json.dumps(record).encode() + b"\n" for record in log))
    record = _record(task, found, settings, command, started)
    record["status"] = "interrupted" if outcome == "interrupted" else "ok"
    # the log has a record for several steps of Adam and of L-BFGS
    record["train"] |= {"steps": log[-1]["step"] if log else 0, "outcome": outcome}
    record["time"] = {"solve_s": round(solve_s, 4), "eval_s": round(time.perf_counter() - measured, 4)}
    record["resources"] = provenance.resources(task.device, threads)
    record["outputs"] = {
        path.stem if path.suffix != ".csv" else "table": {
            "path": str(path),
            "sha256": provenance.digest(path.read_bytes()),
        }
        for path in [folder.checkpoint, folder.preview, *(folder.path / name for name in files)]
    }
    record["finished_utc"] = provenance.utc_now()
    atomic_write(folder.metrics, to_json(record))
    folder.finish()
    return SolutionResult(record, found.summary)


def run_key(settings: dict[str, Any]) -> str:
    """Return the digest of all that decides the result: not threads, device, or an engine left open."""
    solve = {
        name: value
        for name, value in settings.get("solve", {}).items()
        if name not in ("threads", "device") and (name, value) != ("engine", "auto")
    }
    return provenance.config_digest({**settings, "solve": solve})


def _record(
    task: PoissonTask, found: SolvedProblem, settings: dict[str, Any], command: list[str], started: str
) -> dict[str, Any]:
    solved, solution = task.solved, task.solved.solution
    assert solution is not None
    return {
        "schema": SCHEMA,
        "status": "ok",
        "command": command,
        "input": {
            "path": None,
            "kind": "poisson",
            "shape": list(found.samples.shape),
            "dtype": "float64",
            "problem": task.problem.config.model_dump(mode="json"),
            "notes": [*task.notes, *solved.notes],
        },
        "model": {
            "name": task.network,
            "config": dict(solved.about),
            "params": solution.n_coefficients,
            "bytes": 8 * solution.n_coefficients,
        },
        "train": {
            "seed": task.settings.seed,
            "optimizer": task.solver,
            "lr": task.lr,
            "precision": "float64",
            "engine": task.engine.name,
            "engine_reason": task.engine.reason,
            "target": task.target,
            "loss_final": solved.residual,
        },
        "metrics": found.metrics,
        "env": provenance.environment(),
        "started_utc": started,
        "config_sha256": provenance.config_digest(settings),
        "run_key": run_key(settings),
    }
