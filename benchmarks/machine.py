"""What all benchmarks share: where the numbers were taken, and how they are stored."""

import json
import platform
import statistics
from pathlib import Path
from typing import Any

import torch

from lrnn_cli.fitting.device import device_name, resolve_threads
from lrnn_cli.runs.provenance import environment, package_versions, utc_now

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return processor, cores and versions."""
    return {
        "processor": device_name(torch.device("cpu")),
        "cores": resolve_threads(None),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "env": {**environment(), "platform": f"{platform.system()}-{platform.machine()}"},
        "packages": package_versions(),
        "taken_utc": utc_now(),
    }


def save(name: str, record: dict[str, Any]) -> Path:
    """Store a record with the machine in benchmarks/results/NAME.json."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps({"benchmark": name, "machine": machine(), **record}, indent=1) + "\n")
    return path


def earlier(name: str, budget: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the runs of an interrupted benchmark with the same budget, none if there is no such record."""
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record["runs"] if record.get("budget") == budget else []


def spread(values: list[float]) -> dict[str, float]:
    """Return median, smallest and largest."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
