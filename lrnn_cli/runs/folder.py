"""The run folder: what lies where, and how it gets there. Nothing half-written ever has a final name.

output.*                 the reconstruction, in the input's depth
solution.*               of an equation, in its place
checkpoint.safetensors   the network and all that is needed to evaluate it; further ones checkpoint-NAME
config.yaml              the settings, all of them
train.jsonl              one record per step shown
preview.png              what it looks like
metrics.json             written last; with "status": "ok" it marks the run as done
resume/                  state of an unfinished run, gone when done
"""

import contextlib
import errno
import fnmatch
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrnn_cli.errors import CheckpointError, OutputError

SCHEMA = "lrnn.metrics/1"
OUTPUT_STEM = "output"
# what runs write behind that stem, of images, sounds, functions and slices
OUTPUT_SUFFIXES = (
    *(".png", ".webp", ".bmp", ".tif"),
    *(".wav", ".flac", ".ogg", ".mp3", ".aiff"),
    *(".npz", ".npy", ".hu16.tif", ".u16.png", ".window.png", ".slices.npz"),
)
FURTHER_CHECKPOINTS = "checkpoint-*.safetensors"  # of a slice, each named after its network
SOLUTION_NAMES = ("solution.npz", "solution.csv", "solution.vti", "solution.vtu")
_NAMES = (
    *SOLUTION_NAMES,
    "checkpoint.safetensors",
    "config.yaml",
    "train.jsonl",
    "preview.png",
    "metrics.json",
    "state.safetensors",
)


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file so that its name never holds half of it: temporary file beside it, fsync, rename.

    Raises:
        OutputError: when the folder is read-only, full or no folder, or the name that of a device or folder.
    """
    with atomic_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[io.BufferedRandom]:
    """Open a file for writing in pieces, as `atomic_write`: the name appears when the block ends well.

    Yields:
        The temporary file, seekable; it is gone when the block raises.

    Raises:
        OutputError: when the folder is read-only, full or no folder, or the name that of a device or folder.
    """
    try:
        if path.exists() and not path.is_file():  # a rename would put a file in the place of a device
            raise OutputError(f"cannot write {path}: it is no regular file; choose another name with -o")
        target = Path(os.path.realpath(path)) if path.is_symlink() else path  # a link stays one
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with open(temporary, "w+b", opener=lambda *_: descriptor) as file:  # with a name, for the writers
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise OutputError(write_problem(path, error)) from error


def write_problem(path: Path, error: OSError) -> str:
    """Say in one line why a file cannot be written and what to do."""
    remedy = {
        errno.ENOSPC: "the disk is full; free some space or choose another folder with -o",
        errno.EDQUOT: "the disk quota is used up; free some space or choose another folder with -o",
        errno.EROFS: "the disk is read-only; choose another folder with -o",
        errno.EACCES: "no permission to write there; choose another folder with -o",
        errno.EPERM: "no permission to write there; choose another folder with -o",
        errno.ENOTDIR: "a part of the path is a file; choose another folder with -o",
        errno.EEXIST: "a file of that name is in the way; choose another folder with -o",
    }
    return f"cannot write {path}: {remedy.get(error.errno or 0, error.strerror or str(error))}"


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def to_json(record: dict[str, Any], *, indent: int | None = 1) -> bytes:
    """Encode as strict JSON: NaN and infinities become null.

    Args:
        record: to be written; a file name in it that is no UTF-8 has surrogates, which JSON has escapes for.
        indent: of nested levels; None for one line.

    Returns:
        UTF-8 with a line break at the end.
    """
    text = json.dumps(finite(record), indent=indent, allow_nan=False, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")


def finite(value: Any) -> Any:
    """Return a record with None in place of NaN and infinities, as JSON wants it."""
    if isinstance(value, dict):
        return {str(k): finite(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [finite(v) for v in value]
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    return value


class RunFolder:
    """Paths and life cycle of one run."""

    def __init__(self, path: Path) -> None:
        """Name the folder; nothing is touched yet."""
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"
        self.config = path / "config.yaml"
        self.log = path / "train.jsonl"
        self.preview = path / "preview.png"
        self.metrics = path / "metrics.json"
        self.resume = path / "resume"
        self.state = self.resume / "state.safetensors"
        self.live_log = self.resume / "train.jsonl"

    def read_metrics(self) -> dict[str, Any]:
        """Return metrics.json.

        Raises:
            CheckpointError: when it is missing, no JSON or of another schema.
        """
        try:
            record = json.loads(self.metrics.read_bytes())
        except FileNotFoundError:
            raise CheckpointError(f"{self.path}: no run folder, metrics.json is missing") from None
        except (OSError, ValueError) as error:
            raise CheckpointError(f"{self.metrics}: not readable as JSON ({error})") from error
        found = record.get("schema") if isinstance(record, dict) else None
        if found != SCHEMA:
            raise CheckpointError(f"{self.metrics}: expected schema {SCHEMA}, got {found!r}")
        return dict(record)

    def is_done(self) -> bool:
        """Tell whether a run ended here normally: metrics.json is valid and says ok."""
        try:
            return self.read_metrics().get("status") == "ok"
        except CheckpointError:
            return False

    def _status(self) -> str:
        try:
            return str(self.read_metrics().get("status"))
        except CheckpointError:
            return "metrics.json is damaged"

    def is_unfinished(self) -> bool:
        """Tell whether an interrupted or killed run can be continued here."""
        return self.state.exists()

    def read_live_log(self) -> list[dict[str, Any]]:
        """Return the records of an unfinished run up to the first damaged line; none without a log."""
        records: list[dict[str, Any]] = []
        with contextlib.suppress(FileNotFoundError, ValueError):
            for line in self.live_log.read_bytes().splitlines():
                record = json.loads(line)
                if not isinstance(record, dict) or "step" not in record:
                    break
                records.append(record)
        return records

    def _of_some_kinds(self) -> list[Path]:
        """Return the files that only some kinds of runs leave: another kind may have run here before."""
        names = [path for name in SOLUTION_NAMES if (path := self.path / name).exists()]
        return [*names, *self.path.glob(FURTHER_CHECKPOINTS)]

    def occupied(self) -> bool:
        """Tell whether any file of a run lies here."""
        if self._of_some_kinds():
            return True
        names = (self.checkpoint, self.config, self.log, self.preview, self.metrics, self.resume)
        return any(p.exists() for p in (*names, *self.outputs()))

    def outputs(self) -> list[Path]:
        """Return where reconstructions may lie, whether or not they do."""
        return [self.path / f"{OUTPUT_STEM}{suffix}" for suffix in OUTPUT_SUFFIXES]

    def claim(self, *, force: bool, resume: bool) -> None:
        """Make the folder ready for a run, and refuse to overwrite one unasked.

        Raises:
            OutputError: when a run lies here and neither force nor resume allows to go on; a run that ended,
                well or not, is not resumed.
        """
        if resume and self.is_unfinished():
            return
        if self.occupied():
            # resuming may start over what was killed before its first state was kept, nothing else
            if not (force or (resume and not self.metrics.exists())):
                what = "an unfinished run; --resume continues it" if self.is_unfinished() else "a run already"
                if resume:
                    what = f"a run that ended ({self._status()}): nothing to resume"
                raise OutputError(
                    f"{self.path} holds {what}; --force overwrites it, -o chooses another folder"
                )
            self._clear()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(write_problem(self.path, error)) from error

    def _clear(self) -> None:
        """Remove the files of the earlier run, the done marker first; foreign files stay."""
        self._sweep()
        # without a sign of a run beside them the names of some kinds may be somebody else's
        is_run = any(path.exists() for path in (self.metrics, self.config, self.resume))
        names = [self.metrics, *self.outputs(), self.preview, self.log, self.config, self.checkpoint]
        for path in [*names, *(self._of_some_kinds() if is_run else ()), self.state, self.live_log]:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                raise OutputError(write_problem(path, error)) from error

    def _sweep(self) -> None:
        """Remove the temporary files of runs that were killed while writing."""
        with contextlib.suppress(OSError):
            for folder in (self.path, self.resume):
                for path in folder.glob(".*.????????"):
                    stem = path.name[1:-9]
                    is_output = stem.startswith(f"{OUTPUT_STEM}.")
                    if is_output or stem in _NAMES or fnmatch.fnmatch(stem, FURTHER_CHECKPOINTS):
                        path.unlink(missing_ok=True)

    def finish(self) -> None:
        """Remove what was only needed to resume, and what killed runs left behind."""
        self._sweep()
        for path in (self.state, self.live_log):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.resume.rmdir()
