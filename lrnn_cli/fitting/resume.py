"""The state of an unfinished run as tensors and JSON: written while training, read by --resume, then gone.

With a budget of steps, a run continued from it on the CPU gives the very same weights as one never stopped.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting.checkpoint import RESUME_FORMAT, encode, read
from lrnn_cli.fitting.guard import Guard
from lrnn_cli.fitting.loop import Counts, Trainer
from lrnn_cli.fitting.snapshot import Snapshot

PROGRESS = {
    "step": int,
    "lr_scale": float,
    "elapsed": float,
    "plateau_step": int,
    "plateau_loss": float,
    "next_check": float,
}


def _flatten(prefix: str, state: dict[Any, dict[str, Any]]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Split optimiser state, parameter number → name → value, into tensors and plain values."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for number, entry in state.items():
        for name, value in entry.items():
            (tensors if isinstance(value, Tensor) else plain)[f"{prefix}{number}.{name}"] = value
    return tensors, plain


def _unflatten(prefix: str, tensors: dict[str, Tensor], plain: dict[str, Any]) -> dict[int, dict[str, Any]]:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**tensors, **plain}.items():
        if key.startswith(prefix):
            number, name = key.removeprefix(prefix).split(".", 1)
            state.setdefault(int(number), {})[name] = value
    return state


def encode_state(trainer: Trainer, run_key: str, engine: str) -> bytes:
    """Return the bytes of the resume file.

    Args:
        trainer: between two steps.
        run_key: digest of configuration and input, compared when resuming.
        engine: the name of the engine in use, whose rounding the rest of the run shall share.
    """
    tensors = {f"weight.{k}": p.detach() for k, p in enumerate(trainer.parameters)}
    optimizer, plain = _flatten("optimizer.", trainer.optimizer.state_dict()["state"])
    tensors.update(optimizer)
    snapshot: dict[str, Any] | None = None
    if trainer.snapshot is not None:
        tensors.update({f"good.weight.{k}": w for k, w in enumerate(trainer.snapshot.weights)})
        good, good_plain = _flatten("good.optimizer.", trainer.snapshot.optimizer)
        tensors.update(good)
        plain.update(good_plain)
        snapshot = {"step": trainer.snapshot.step, "smooth_loss": trainer.snapshot.smooth_loss}
    header = {
        "format": RESUME_FORMAT,
        "run_key": run_key,
        "engine": engine,
        "optimizer": trainer.optimizer_name,
        "lr": trainer.lr,
        "plain": plain,
        "snapshot": snapshot,
        "guard": trainer.guard.state(),
        "counts": asdict(trainer.counts),
        "sampler": trainer.sampler.state(),
        "block_points": trainer.runner.block_points,
        "full_from": trainer.backward.full_from,
        "progress": {name: getattr(trainer, name) for name in PROGRESS},
    }
    return encode(tensors, header)


def restore_state(trainer: Trainer, path: Path, run_key: str) -> str:
    """Bring a fresh trainer of the same configuration to the state in the file.

    Returns:
        the engine in use before.

    Raises:
        CheckpointError: when the file is corrupt, or belongs to another configuration or input.
    """
    tensors, header = read(path, RESUME_FORMAT)
    if header.get("run_key") != run_key:
        raise CheckpointError(
            f"{path}: written by a run with another input, configuration or number of parameters; "
            "repeat its options, or start anew with --force in place of --resume"
        )
    try:
        with torch.no_grad():
            for k, parameter in enumerate(trainer.parameters):
                parameter.copy_(tensors[f"weight.{k}"])
        plain = header["plain"]
        trainer.use_optimizer(str(header["optimizer"]), float(header["lr"]))  # another device, other defaults
        trainer.load_optimizer(_unflatten("optimizer.", tensors, plain))
        if header["snapshot"] is not None:
            weights = [tensors[f"good.weight.{k}"].to(p.device) for k, p in enumerate(trainer.parameters)]
            trainer.snapshot = Snapshot(
                int(header["snapshot"]["step"]),
                float(header["snapshot"]["smooth_loss"]),
                weights,
                _unflatten("good.optimizer.", tensors, plain),
            )
        trainer.guard = Guard(**header["guard"])
        trainer.counts = Counts(**header["counts"])
        trainer.sampler.restore(header["sampler"])
        trainer.runner.block_points = int(header["block_points"])
        trainer.backward.full_from = float(header["full_from"])
        for name, number in PROGRESS.items():
            setattr(trainer, name, number(header["progress"][name]))
        return str(header["engine"])
    except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError, AttributeError) as error:
        raise CheckpointError(
            f"{path}: resume state is incomplete ({type(error).__name__}: {error})"
        ) from error
