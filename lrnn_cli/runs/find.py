"""From what the user names, a run folder or a checkpoint, to the files that are there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting import fields
from lrnn_cli.fitting.checkpoint import Fitted, format_of, load
from lrnn_cli.objectives.poisson import Problem
from lrnn_cli.runs.folder import RunFolder


@dataclass(frozen=True)
class _OnDisk:
    """A checkpoint: its file, and the folder that it lies in, a run folder or not."""

    checkpoint: Path
    folder: RunFolder

    def record(self) -> dict[str, Any] | None:
        """Return metrics.json of the run that the checkpoint is of, None for a checkpoint on its own.

        Raises:
            CheckpointError: when there is one, but no JSON or of another schema.
        """
        is_of_run = self.checkpoint.name == self.folder.checkpoint.name and self.folder.metrics.exists()
        return self.folder.read_metrics() if is_of_run else None


@dataclass(frozen=True)
class Found(_OnDisk):
    """A fit on disk: the network, on the CPU."""

    fitted: Fitted


@dataclass(frozen=True)
class FoundSolution(_OnDisk):
    """A solved equation on disk: the field, its problem, and the header of the checkpoint."""

    solution: fields.AnyField
    problem: Problem
    header: dict[str, Any]


def find_any(path: Path) -> Found | FoundSolution:
    """Open a run folder or a checkpoint of a fit or of a solved equation.

    Args:
        path: as the user gave it.

    Returns:
        What is there.

    Raises:
        CheckpointError: when there is no such file or folder, no checkpoint in it, or none that can be read.
    """
    folder = RunFolder(path if path.is_dir() else path.parent)
    checkpoint = folder.checkpoint if path.is_dir() else path
    if format_of(checkpoint) != fields.FORMAT:
        return find(path)
    return FoundSolution(checkpoint, folder, *fields.load(checkpoint))


def find(path: Path) -> Found:
    """Open a run folder or a checkpoint of a fit.

    Args:
        path: as the user gave it.

    Returns:
        The network and where it lies.

    Raises:
        CheckpointError: when there is no such file or folder, no checkpoint in it, or none that can be read.
    """
    folder = RunFolder(path if path.is_dir() else path.parent)
    checkpoint = folder.checkpoint if path.is_dir() else path
    if path.is_dir() and not checkpoint.exists():
        raise CheckpointError(_no_checkpoint(folder))
    return Found(checkpoint, folder, load(checkpoint))


def _no_checkpoint(folder: RunFolder) -> str:
    if folder.is_unfinished():
        return f"{folder.path}: holds an unfinished run without a checkpoint; finish it with --resume first"
    inside = sorted(folder.path.glob("*/checkpoint.safetensors"))
    hint = f"name one of those in it, such as {inside[0].parent}" if inside else "name a run folder"
    return f"{folder.path}: no checkpoint.safetensors in this folder; {hint}"
