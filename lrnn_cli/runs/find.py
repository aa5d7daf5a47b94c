"""From what the user names, a run folder or a checkpoint, to the files that are there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrnn_cli.errors import CheckpointError
from lrnn_cli.fitting.checkpoint import Fitted, load
from lrnn_cli.runs.folder import RunFolder


@dataclass(frozen=True)
class Found:
    """A fit on disk.

    Attributes:
        checkpoint: its file.
        folder: the folder that the file lies in, a run folder or not.
        fitted: the network, on the CPU.
    """

    checkpoint: Path
    folder: RunFolder
    fitted: Fitted

    def record(self) -> dict[str, Any] | None:
        """Return metrics.json of the run that the checkpoint is of, None for a checkpoint on its own.

        Raises:
            CheckpointError: when there is one, but no JSON or of another schema.
        """
        is_of_run = self.checkpoint.name == self.folder.checkpoint.name and self.folder.metrics.exists()
        return self.folder.read_metrics() if is_of_run else None


def find(path: Path) -> Found:
    """Open a run folder or a checkpoint.

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
