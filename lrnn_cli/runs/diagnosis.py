"""`doctor`: what this installation consists of and what it can do, part by part; nothing here raises."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.device import device_name, machine_memory_mb, resolve_device, resolve_threads
from lrnn_cli.kernels import native, native_jets, triton
from lrnn_cli.kernels.dispatch import ENGINES, choose_engine
from lrnn_cli.runs import provenance

EXTRAS = {"medical": ("pydicom",), "speech": ("pystoi",), "study": ("distributed",), "fem": ("scikit-fem",)}


def diagnose() -> dict[str, Any]:
    """Look at everything that decides what runs, and how fast.

    Returns:
        JSON-able values: env, packages, devices, threads, engines, equations, cache, codecs, extras.
    """
    return {
        "env": {**provenance.environment(), "executable": sys.executable},
        "packages": provenance.package_versions(),
        "devices": _tell(_devices),
        "threads": _tell(_threads),
        "engines": _tell(_engines),
        "equations": _tell(_equations),
        "cache": _tell(_cache),
        "codecs": {
            "soundfile": _tell(_sound_codecs),
            "pillow": _tell(_image_codecs),
        },
        "extras": {name: _extra(name, packages) for name, packages in EXTRAS.items()},
    }


def _tell(look: Callable[[], Any]) -> Any:
    """Return what `look` finds, or what went wrong: a broken library is a finding, not the end."""
    try:
        return look()
    except Exception as error:
        return {"problem": f"{type(error).__name__}: {error}"}


def _devices() -> list[dict[str, Any]]:
    cpu = torch.device("cpu")
    found: list[dict[str, Any]] = [
        {"device": "cpu", "name": device_name(cpu), "memory_mb": machine_memory_mb()}
    ]
    if torch.cuda.is_available():
        for k in range(torch.cuda.device_count()):
            memory = torch.cuda.get_device_properties(k).total_memory
            name = torch.cuda.get_device_name(k)
            found.append({"device": f"cuda:{k}", "name": name, "memory_mb": round(memory / 2**20)})
    else:
        reason = (
            "this torch has no CUDA support"
            if torch.version.cuda is None
            else "no usable NVIDIA GPU was found"
        )
        found.append({"device": "cuda", "name": None, "problem": reason})
    return found


def _threads() -> dict[str, Any]:
    return {"default": resolve_threads(None), "processors": os.cpu_count(), "machine": platform.machine()}


def _engines() -> list[dict[str, Any]]:
    """Return each engine with whether it is possible in float32, and why.

    `auto` and `triton` are meant on the device that runs by default, `compiled` on the CPU.
    """
    cpu, precision, family = torch.device("cpu"), torch.float32, "sin"
    default = resolve_device("auto")
    compiler = native.compiler()
    found = []
    for name in ENGINES:
        if name == "compiled" and compiler is not None and not native.is_built():
            reason = f"not compiled yet; {compiler} does it at the first long run"
            found.append({"engine": name, "available": True, "reason": reason})
            continue
        try:
            device = default if name in ("auto", "triton") else cpu
            chosen = choose_engine(name, family=family, dtype=precision, device=device, long_run=False)
            words = {
                "auto": f"would be {chosen.name}: {chosen.reason}",
                "reference": "obvious tensor code",
                "fused": "tensor code in blocks",
                "compiled": f"machine code, built with {compiler}",
                "triton": f"kernels on {default.type}{', interpreted: for tests' * triton.interpreted()}",
            }
            found.append({"engine": name, "available": True, "reason": words.get(name, chosen.reason)})
        except ConfigError as error:
            reason = str(error).removeprefix(f"engine {name}: ").removesuffix("; use --engine auto")
            found.append({"engine": name, "available": False, "reason": reason})
    return found


def _equations() -> dict[str, Any]:
    """Return what evaluates product layers with gradient and Laplacian, in float64 on the CPU."""
    compiler = native.compiler()
    if compiler is not None and not native.is_built(native_jets.SOURCE):
        return {"engine": None, "reason": f"not compiled yet; {compiler} does it at the first long run"}
    where: dict[str, Any] = {"dtype": torch.float64, "device": torch.device("cpu"), "laplacian": True}
    chosen = choose_engine("auto", family="sin", **where)
    return {"engine": chosen.name, "reason": f"would be {chosen.name}: {chosen.reason}"}


def _cache() -> dict[str, Any]:
    folder = native.cache_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    return {
        "path": str(folder),
        "writable": os.access(nearest, os.W_OK | os.X_OK) and nearest.is_dir(),
        "kernel_built": native.is_built(),
    }


def _sound_codecs() -> dict[str, Any]:
    import soundfile

    return {"version": soundfile.__libsndfile_version__, "formats": sorted(soundfile.available_formats())}


def _image_codecs() -> dict[str, Any]:
    import PIL
    from PIL import features

    found = {name: features.version(name) for name in ("zlib", "jpg", "webp")}
    return {"version": PIL.__version__, **found}


def _extra(name: str, packages: tuple[str, ...]) -> dict[str, Any]:
    versions: dict[str, str] = {}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            return {"present": False, "install": f"pip install 'lrnn[{name}]'", "packages": list(packages)}
    return {"present": True, "install": None, "packages": versions}
