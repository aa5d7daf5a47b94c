"""Where numbers come from: versions, machine, memory, time. For metrics.json and `lrnn doctor`."""

import datetime
import hashlib
import json
import platform
import resource
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lrnn_cli import __version__
from lrnn_cli.fitting.device import device_name

PACKAGES = ("numpy", "scipy", "pillow", "tifffile", "soundfile", "safetensors", "pydantic", "typer", "rich")


def environment() -> dict[str, Any]:
    """Return the versions that a result depends on."""
    return {
        "lrnn": __version__,
        "git": _git_commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "platform": platform.platform(),
    }


def package_versions() -> dict[str, str]:
    """Return the versions of the libraries in use, `missing` where one is not installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def _git_commit() -> str | None:
    """Return the commit of a source checkout, with `+` when files differ from it; None when installed."""
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists():
        return None
    try:
        command = ["git", "-C", str(root), "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


def resources(device: torch.device, threads: int) -> dict[str, Any]:
    """Return device and peak memory of this process so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    unit = 2**20 if sys.platform == "darwin" else 2**10
    cuda = torch.cuda.max_memory_allocated(device) / 2**20 if device.type == "cuda" else None
    return {
        "device": str(device),
        "device_name": device_name(device),
        "threads": threads,
        "peak_rss_mb": round(peak * unit / 2**20, 1),
        "peak_cuda_mb": None if cuda is None else round(cuda, 1),
    }


def utc_now() -> str:
    """Return the time as ISO 8601 in UTC, whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()


def digest(content: bytes) -> str:
    """Return the SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def config_digest(settings: dict[str, Any]) -> str:
    """Return the digest of settings, whatever the order of their keys."""
    return digest(json.dumps(settings, sort_keys=True, default=str).encode())
