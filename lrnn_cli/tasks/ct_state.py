"""The state of an unfinished `reconstruct-ct` run: images done, networks done, and the one in work.

With a budget of steps a run taken up from it gives the very same bits as one never stopped.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting.checkpoint import RESUME_FORMAT, encode, encode_fitted, load, read
from lrnn_cli.models.contract import use_engine
from lrnn_cli.tasks.ct_network import Start
from lrnn_cli.tasks.reconstruct_ct import CtTask, Done


def encode_run(task: CtTask, run_key: str, n_records: int) -> bytes:
    """Return the bytes of the resume file.

    Args:
        task: between two steps or methods.
        run_key: digest of all that decides the result.
        n_records: records of the log so far.
    """
    done = task.done
    tensors: dict[str, Tensor] = {f"image.{name}": image for name, image in done.images.items()}
    for name, fitted in done.networks.items():
        tensors[f"network.{name}"] = torch.frombuffer(bytearray(encode_fitted(fitted)), dtype=torch.uint8)
    start: dict[str, Any] | None = None
    if done.start is not None:
        tensors["start"] = done.start.image
        start = {key: value for key, value in vars(done.start).items() if key != "image"}
    current: dict[str, Any] | None = None
    if task.current is not None:
        parts, rounds = task.current.state(run_key)
        tensors |= {f"current.{name}": part for name, part in parts.items()}
        current = {"name": task.current.name, "rounds_done": rounds}
    header = {
        "format": RESUME_FORMAT,
        "run_key": run_key,
        "seconds": done.seconds,
        "about": done.about,
        "start": start,
        "current": current,
        "n_records": n_records,
    }
    # copies: the start may be an image done, and the splitting begins with one image in two places
    return encode({name: tensor.clone() for name, tensor in tensors.items()}, header)


def restore_run(task: CtTask, path: Path, run_key: str) -> int:
    """Bring a fresh task to the state in the file.

    Args:
        task: of the same settings and input.
        path: the resume file.
        run_key: digest of all that decides the result.

    Returns:
        The number of records of the log at that time.

    Raises:
        CheckpointError: when the file is corrupt, or belongs to another configuration or input.
    """
    tensors, header = read(path, RESUME_FORMAT)
    if header.get("run_key") != run_key:
        raise CheckpointError(
            f"{path}: written by a run with another input or configuration; "
            "repeat its options, or start anew with --force in place of --resume"
        )
    try:
        done = Done(seconds=dict(header["seconds"]), about=dict(header["about"]))
        groups: dict[str, dict[str, Tensor]] = {"image": {}, "network": {}, "current": {}}
        for key, tensor in tensors.items():
            group, _, name = key.partition(".")
            if name:
                groups[group][name] = tensor
        done.images = {name: image.to(task.device) for name, image in groups["image"].items()}
        with tempfile.TemporaryDirectory() as folder:
            for name in (planned for planned in task.plans if planned in groups["network"]):
                copy = Path(folder) / f"{name}.safetensors"
                copy.write_bytes(groups["network"][name].numpy().tobytes())
                done.networks[name] = load(copy)
                use_engine(done.networks[name].model, str(done.about[name]["engine"]))
        if header["start"] is not None:
            done.start = Start(image=tensors["start"].to(task.device), **header["start"])
        task.done = done
        if header["current"] is not None:
            task.current = task.begin(header["current"]["name"])
            task.current.restore(groups["current"], int(header["current"]["rounds_done"]), run_key)
        return int(header["n_records"])
    except (LookupError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: resume state is incomplete ({type(error).__name__}: {error})".split("\n")[0]
        ) from error
