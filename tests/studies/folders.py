"""Run folders as the commands leave them, without running anything."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml


def write_run(
    folder: Path,
    *,
    model: str = "lrnn",
    seed: int = 0,
    psnr: float | None = 30.0,
    file: str = "a.png",
    kind: str = "image",
    status: str = "ok",
    params: int = 1000,
    budget: int | None = 1000,
    steps: int = 100,
    train_s: float = 10.0,
    limit: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    log: Sequence[dict[str, Any]] = (),
    settings: dict[str, Any] | None = None,
    job: dict[str, Any] | None = None,
    reader: dict[str, Any] | None = None,
    device_name: str = "A processor",
    change: dict[str, Any] | None = None,
) -> Path:
    """Write a run of `model` on `file`; `change` overrides top-level keys of metrics.json."""
    folder.mkdir(parents=True)
    figures = {"psnr_db": psnr, "psnr_infinite": psnr is None, "ssim": 0.9, "data_range": 1.0}
    record = {
        "schema": "lrnn.metrics/1",
        "status": status,
        "input": {
            "path": f"pictures/{file}",
            "sha256": f"digest of {file}",
            "kind": kind,
            "shape": [8, 8, 1],
        },
        "model": {"name": model, "params": params, "config": {"omega_first": 30.0}},
        "train": {"steps": steps, "seed": seed, "lr": 1e-3, "outcome": "budget"},
        "metrics": figures | (metrics or {}),
        "time": {"train_s": train_s},
        "resources": {
            "device": "cpu",
            "device_name": device_name,
            "threads": 1,
            "peak_rss_mb": 300.0,
            "peak_cuda_mb": None,
        },
        "env": {"platform": "Linux", "torch": "2"},
        **(change or {}),
    }
    (folder / "metrics.json").write_text(json.dumps(record))
    config = {
        "model": {"name": model, "params": budget, **(settings or {})},
        "fit": {"steps": steps, "time_s": None, "seed": seed, "threads": 2, **(limit or {})},
        kind: reader or {"grey": False},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    if job is not None:
        (folder / "job.json").write_text(json.dumps(specification(model, seed, file) | job))
    return folder


def specification(model: str, seed: int, file: str) -> dict[str, Any]:
    """The specification of a job, as far as a collection reads it."""
    return {
        "task": "fit-image",
        "input": file,
        "sha256": f"digest of {file}",
        "model": model,
        "label": model,
        "seed": seed,
    }


def write_crash(
    folder: Path, *, model: str = "lrnn", seed: int = 0, file: str = "a.png", code: int = 137
) -> Path:
    """Write what is left of a job that was killed."""
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps(specification(model, seed, file)))
    lines = [{"start": "now"}, {"end": "now", "code": code, "message": "killed by SIGKILL"}]
    (folder / "attempts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def course(*points: tuple[float, int, float]) -> list[dict[str, Any]]:
    """A training log of (seconds, step, PSNR)."""
    return [{"seconds": s, "step": k, "psnr_db": db, "loss": 0.1} for s, k, db in points]
