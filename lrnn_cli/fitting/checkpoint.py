"""Checkpoints: tensors in a safetensors file, all else as JSON in its header; nothing in it is ever executed.

The header holds, under the key `lrnn`, the model's name, configuration and dimensions, the affine map of the
values, the grid and what the writer of the signal needs, so that a file alone suffices to evaluate the fit
anywhere.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from lrnn_cli.errors import CheckpointError, ConfigError
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel, ModelConfig
from lrnn_cli.models.segments import Span, build_segments

FORMAT = "lrnn.checkpoint/1"
RESUME_FORMAT = "lrnn.resume/1"
_LENGTH_BYTES = 8  # of the length of the header, at the start of a safetensors file
_LARGEST_HEADER = 100_000_000  # bytes; the library's own limit


@dataclass(frozen=True)
class Fitted:
    """A trained model and all that is needed to evaluate it: stored value = prediction * scale + shift.

    `evaluation` says how the fit was measured (device, engine, block_points), to get the same bits again.
    `segments` are the spans of samples of the members where the model is several networks in a row.
    """

    model_name: str
    config: ModelConfig
    model: CoordinateModel
    n_inputs: int
    n_outputs: int
    shift: float
    scale: float
    peak: float
    shape: tuple[int, ...]
    kind: str
    signal: dict[str, Any]
    evaluation: dict[str, Any] = field(default_factory=dict)
    segments: tuple[Span, ...] = ()

    def header(self) -> dict[str, Any]:
        """Return what the checkpoint says besides the weights."""
        return {
            "format": FORMAT,
            "model": {
                "name": self.model_name,
                "config": self.config.model_dump(),
                "n_inputs": self.n_inputs,
                "n_outputs": self.n_outputs,
            },
            "transform": {"shift": self.shift, "scale": self.scale, "peak": self.peak},
            "shape": list(self.shape),
            "kind": self.kind,
            "signal": self.signal,
            "evaluation": self.evaluation,
            **({"segments": [list(span) for span in self.segments]} if self.segments else {}),
        }


def encode(tensors: dict[str, Tensor], header: dict[str, Any]) -> bytes:
    """Return a safetensors file with the header as JSON; the same content gives the same bytes."""
    kept = {name: t.detach().cpu().contiguous() for name, t in tensors.items()}
    header = {**header, "tensors_sha256": _digest(kept)}
    return safetensors.torch.save(kept, metadata={"lrnn": json.dumps(header, sort_keys=True)})


def _digest(tensors: dict[str, Tensor]) -> str:
    """Return the digest of names, types, shapes and bytes: damage to a weight does not go unnoticed."""
    result = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        result.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        result.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return result.hexdigest()


def encode_fitted(fitted: Fitted) -> bytes:
    """Return the bytes of the checkpoint of a fit."""
    return encode(dict(fitted.model.state_dict()), fitted.header())


def read(path: Path, expected_format: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read tensors and header.

    Returns:
        the tensors by name, on the CPU, and the header.

    Raises:
        CheckpointError: when the file is missing, truncated, damaged, foreign or of another format.
    """
    if path.exists() and not path.is_file():
        raise CheckpointError(f"{path}: not a file; name a checkpoint")
    try:
        header = _read_header(path)
        tensors = safetensors.torch.load(path.read_bytes())
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file") from None
    except (SafetensorError, OSError, ValueError, RuntimeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error}); it is truncated, or no checkpoint of a run"
        ) from error
    if not isinstance(header, dict) or "format" not in header:
        raise CheckpointError(f"{path}: a safetensors file, but not written by lrnn (no lrnn header)")
    if header["format"] != expected_format:
        raise CheckpointError(f"{path}: expected format {expected_format}, got {header['format']!r}")
    digest = header.pop("tensors_sha256", None)  # None: written before it was stored
    if digest is not None and digest != _digest(tensors):
        raise CheckpointError(f"{path}: the weights are damaged (their sha256 is not the one stored)")
    return tensors, header


def _read_header(path: Path) -> Any:
    """Return what the header of a safetensors file holds under `lrnn`, None where it holds nothing.

    The library reads it only from paths that are valid UTF-8, and a file that is none of its kind may be
    larger than memory.

    Raises:
        OSError: when the file cannot be read.
        ValueError: when it is no safetensors file.
    """
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if not 0 < length <= _LARGEST_HEADER:
            raise ValueError("it has no header")
        header = json.loads(file.read(length))
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(header, dict) or not isinstance(metadata, dict | None):
        raise ValueError("its header is of another kind")
    return json.loads((metadata or {}).get("lrnn", "null"))


def format_of(path: Path) -> str | None:
    """Return the format that the header of a file names; None for any file that was not written by lrnn."""
    try:
        header = _read_header(path)
    except (OSError, ValueError, RecursionError):
        return None
    return str(header.get("format")) if isinstance(header, dict) else None


def load(path: Path) -> Fitted:
    """Read a checkpoint and rebuild its model, on the CPU.

    The model is laid out without memory first and compared with the tensors, so that a header cannot ask for
    more memory than the file has bytes.

    Returns:
        the fit as it was saved.

    Raises:
        CheckpointError: when the file is corrupt or foreign, or header and tensors do not agree.
    """
    tensors, header = read(path, FORMAT)
    try:
        spec, transform = header["model"], header["transform"]
        name, n_inputs, n_outputs = str(spec["name"]), int(spec["n_inputs"]), int(spec["n_outputs"])
        config = config_class(name)(**spec["config"])
        if min(n_inputs, n_outputs) < 1:
            sizes = f"{n_inputs} inputs, {n_outputs} outputs"
            raise CheckpointError(f"{path}: the header makes no sense ({sizes})")
        n_weights = sum(t.numel() for t in tensors.values())
        if n_weights < n_inputs + n_outputs or int(getattr(config, "depth", 1)) > max(64, len(tensors)):
            raise CheckpointError(f"{path}: header and weights do not agree")
        segments = tuple((int(start), int(stop)) for start, stop in header.get("segments", []))
        if len(segments) > len(tensors):
            raise CheckpointError(f"{path}: header and weights do not agree")
        with torch.device("meta"):
            model = build_segments(
                segments,
                int(header["shape"][0]),
                lambda: build(name, config, n_inputs=n_inputs, n_outputs=n_outputs),
            )
        expected = {key: tuple(t.shape) for key, t in model.state_dict().items()}
        found = {key: tuple(t.shape) for key, t in tensors.items()}
        if expected != found:
            odd = sorted(set(expected.items()) ^ set(found.items()))[0][0]
            raise CheckpointError(f"{path}: header and weights do not agree (first at {odd!r})")
        dtypes = {t.dtype for t in tensors.values()}
        if dtypes not in ({torch.float32}, {torch.float64}):
            raise CheckpointError(f"{path}: expected weights all float32 or all float64")
        model.load_state_dict(tensors, assign=True)
        if not all(bool(torch.isfinite(t).all()) for t in tensors.values()):
            raise CheckpointError(f"{path}: the weights hold NaN or infinity")
        fitted = Fitted(
            model_name=name,
            config=config,
            model=model,
            n_inputs=n_inputs,
            n_outputs=n_outputs,
            shift=float(transform["shift"]),
            scale=float(transform["scale"]),
            peak=float(transform["peak"]),
            shape=tuple(int(n) for n in header["shape"]),
            kind=str(header["kind"]),
            signal=dict(header["signal"]),
            evaluation=dict(header.get("evaluation", {})),
            segments=segments,
        )
        problem = _implausible(fitted)
        if problem:
            raise CheckpointError(f"{path}: the header makes no sense ({problem})")
        return fitted
    except (
        LookupError,
        TypeError,
        ValueError,
        ValidationError,
        ConfigError,
        RuntimeError,
        ArithmeticError,
    ) as error:
        raise CheckpointError(f"{path}: the header makes no sense ({_reason(error)})") from error


def _reason(error: Exception) -> str:
    """Return in one line what an exception found wrong with a header."""
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error).split("\n")[0]


def _implausible(fitted: Fitted) -> str:
    """Say what of a header, each part of which has the right type, cannot be; empty if all can."""
    n_axes = 1 if fitted.signal.get("scattered") is True else fitted.n_inputs
    if len(fitted.shape) != n_axes or min(fitted.shape, default=0) < 1:
        return f"shape {list(fitted.shape)} for {fitted.n_inputs} coordinates"
    if not (math.isfinite(fitted.shift) and 0 < fitted.scale < math.inf and 0 < fitted.peak < math.inf):
        return f"shift {fitted.shift:g}, scale {fitted.scale:g}, peak {fitted.peak:g}"
    return ""
