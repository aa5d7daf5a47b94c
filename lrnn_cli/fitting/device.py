"""Where to compute: resolving `auto`, and a clear word when CUDA was asked for and is not there."""

import os
import platform

import torch

from lrnn_cli.errors import ConfigError, DeviceError
from lrnn_cli.fitting.launch import place


def resolve_device(asked: str) -> torch.device:
    """Return the device for auto, cpu, cuda or cuda:N; `auto` takes CUDA where there is some.

    Raises:
        ConfigError: when the name is none of these.
        DeviceError: when CUDA, or the device of that number, is absent.
    """
    if asked == "auto":
        asked = "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cpu":
        return torch.device("cpu")
    name, _, number = asked.partition(":")
    if name != "cuda" or (number and not number.isdecimal()) or asked.endswith(":"):
        raise ConfigError(f"device: expected auto, cpu, cuda or cuda:N, got {asked!r}")
    if not torch.cuda.is_available():
        built = (
            "this torch has no CUDA support"
            if torch.version.cuda is None
            else "no usable NVIDIA GPU was found"
        )
        raise DeviceError(f"device {asked}: {built}; use --device cpu or --device auto")
    if number and int(number) >= torch.cuda.device_count():
        raise DeviceError(
            f"device {asked}: there are only {torch.cuda.device_count()} CUDA devices, counted from 0"
        )
    here = place()
    if here.size > 1:  # one GPU for each process of torchrun
        if number:
            raise ConfigError(f"device {asked}: the processes of torchrun take a GPU each; use --device cuda")
        if here.local_rank >= torch.cuda.device_count():
            raise DeviceError(
                f"device {asked}: {here.local_size} processes, but {torch.cuda.device_count()} GPUs; "
                f"use torchrun --nproc-per-node {torch.cuda.device_count()}, or --device cpu"
            )
        return torch.device("cuda", here.local_rank)
    return torch.device(asked)


def resolve_threads(asked: int | None) -> int:
    """Return the number of CPU threads: those asked for, or the processors this process may use.

    Processes that torchrun started together on a machine share them.
    """
    if asked is not None:
        return asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, cores // place().local_size)


def device_name(device: torch.device) -> str:
    """Return the name of the GPU or of the processor."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor() or platform.machine()


def machine_memory_mb() -> int | None:
    """Return the MiB of main memory of this machine, None where the system does not tell."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20)
    except (AttributeError, OSError, ValueError):
        return None
