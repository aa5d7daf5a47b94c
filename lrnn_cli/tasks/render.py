"""`render`: a fitted image drawn again, the whole or a part of it, at any size.

The network is a function on the continuous square [-1, 1]²; an image of h x w pixels is its values at the
centres of h x w equal cells. At the original size these are the very points of the fit, and with the engine,
the blocks and the device of the fit the values have the very bits that were measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from lrnn_cli.errors import CheckpointError, ConfigError
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.fitting.device import resolve_device, resolve_threads
from lrnn_cli.fitting.predict import predict_parts
from lrnn_cli.kernels.dispatch import ENGINES, Engine, choose_engine
from lrnn_cli.models.contract import use_engine
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.signals.image import default_container
from lrnn_cli.signals.image_write import check_image, depth_for

DTYPES = ("uint8", "uint16", "float32")
LARGEST_BLOCK = 2**24  # points, of what a checkpoint may ask for
LONGEST_SIDE = 1e12  # cells: what a number may say at all; the container decides
FARTHEST = 1e6  # coordinate: the network reads it in float32, where neighbours there are 0.06 apart
PART_VALUES = 2**20  # float32 values in work at a time: 4 MiB
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """What is drawn: `height` x `width` cells over the box (x0, y0, x1, y1), in pixels of the original."""

    height: int
    width: int
    region: Box
    grid: Grid
    is_original: bool


def make_view(
    fitted: Fitted,
    *,
    size: tuple[int, int] | None = None,
    scale: float | None = None,
    region: Box | None = None,
) -> View:
    """Lay a grid of cells over the original or a part of it.

    With H x W pixels in the original, x = 0 … W and y = 0 … H are borders: 2 x / W - 1, 2 y / H - 1.

    Args:
        fitted: the fit of an image.
        size: (width, height) of the result; by default `scale` times the size of the region, rounded.
        scale: cells per pixel of the original along both axes; 1 by default.
        region: (x0, y0, x1, y1) in pixels of the original, fractions and places outside it allowed.

    Returns:
        The view.

    Raises:
        ConfigError: when the fit is no image, both size and scale are given, or the region is empty or so far
            out that a coordinate in float32 says nothing.
    """
    if fitted.kind != "image" or len(fitted.shape) != 2:
        raise ConfigError(f"render draws fitted images, and this is a fit of kind {fitted.kind!r}")
    if size is not None and scale is not None:
        raise ConfigError("size and scale exclude each other: give --size or --scale")
    if scale is not None and not 0 < scale < math.inf:
        raise ConfigError(f"scale: expected a number larger than 0, got {scale:g}")
    height, width = fitted.shape
    x0, y0, x1, y1 = region or (0.0, 0.0, float(width), float(height))
    if not (all(map(math.isfinite, (x0, y0, x1, y1))) and x0 < x1 and y0 < y1):
        raise ConfigError(f"region: expected x0 < x1 and y0 < y1, got {x0:g},{y0:g},{x1:g},{y1:g}")
    lower = 2 * y0 / height - 1, 2 * x0 / width - 1
    upper = 2 * y1 / height - 1, 2 * x1 / width - 1
    if max(map(abs, lower + upper)) > FARTHEST:
        raise ConfigError(
            f"region: expected places within {FARTHEST:g} times the size of the original, "
            f"got {x0:g},{y0:g},{x1:g},{y1:g}"
        )
    if not (lower[0] < upper[0] and lower[1] < upper[1]):  # by rounding
        raise ConfigError(
            f"region: too small to be told from a line, {x0:g},{y0:g},{x1:g},{y1:g}; enlarge it"
        )
    if size is None:
        cells = (scale or 1.0) * (x1 - x0), (scale or 1.0) * (y1 - y0)
        if max(cells) > LONGEST_SIDE:
            raise ConfigError(f"scale: {scale:g} is too large for any file; give a smaller one")
        size = max(1, round(cells[0])), max(1, round(cells[1]))
    is_original = (size[1], size[0]) == (height, width) and lower == (-1, -1) and upper == (1, 1)
    return View(size[1], size[0], (x0, y0, x1, y1), Grid((size[1], size[0]), lower, upper), is_original)


@dataclass(frozen=True)
class Format:
    """How the values are written: container, depth and channels.

    value in the file = (value - lower) / span; 0 and 1 unless a range other than [0, 1] goes into integers.
    """

    container: str
    dtype: str
    channels: tuple[str, ...]
    lower: float
    span: float
    notes: tuple[str, ...]


def choose_format(fitted: Fitted, container: str | None, asked_dtype: str | None = None) -> Format:
    """Choose the depth: that of the original, or the nearest that the container holds.

    Args:
        fitted: the fit of an image.
        container: "PNG", "JPEG", "WebP", "BMP" or "TIFF"; None for PNG, or TIFF where PNG cannot hold it.
        asked_dtype: "uint8", "uint16" or "float32"; None for that of the original, or the nearest held.

    Returns:
        The format, with a sentence for each thing that is not as in the original.

    Raises:
        CheckpointError: when the checkpoint does not say what its values are.
        ConfigError: when the container cannot hold the channels, or not the dtype asked for.
    """
    names, dtype = fitted.signal.get("channels"), fitted.signal.get("dtype")
    channels = tuple(map(str, names)) if isinstance(names, list) else ()
    if len(channels) != fitted.n_outputs or dtype not in DTYPES:
        raise CheckpointError(
            f"the header describes no image: {dtype!r} channels {names!r} for {fitted.n_outputs} outputs"
        )
    if asked_dtype not in (None, *DTYPES):
        raise ConfigError(f"dtype: expected one of {', '.join(DTYPES)}, got {asked_dtype!r}")
    wish = {"container": "PNG", "dtype": asked_dtype or dtype, "channels": channels}
    container = container or default_container(wish)
    depth = asked_dtype or depth_for(container, dtype)
    check_image((1, 1, len(channels)), container=container, dtype=depth)
    notes = []
    lower, span = 0.0, 1.0
    if depth != dtype and asked_dtype is None:
        notes.append(f"{container} holds no {dtype}: written as {depth}")
    if dtype == "float32" and depth != dtype:
        lower, span = fitted.shift - fitted.scale, 2 * fitted.scale
        notes.append(f"values from {lower:g} to {lower + span:g} are mapped to black … white, others cut off")
    return Format(container, depth, channels, lower, span, tuple(notes))


@dataclass(frozen=True)
class Machine:
    """What evaluates the fit, and what of that differs from how it was measured."""

    runner: BlockRunner
    engine: Engine
    notes: tuple[str, ...]


def make_machine(fitted: Fitted, *, device: str, threads: int | None, engine: str) -> Machine:
    """Set up device, threads, blocks and engine, each as in the fit where nothing else is asked for.

    Args:
        fitted: the fit; its model is told the engine.
        device: auto, cpu, cuda or cuda:N; auto is the device of the fit, or the CPU where that is absent.
        threads: of the CPU; None for all cores.
        engine: as `kernels.dispatch.choose_engine` takes it; auto is the engine of the fit where possible.

    Returns:
        The machine; close its runner after use.

    Raises:
        ConfigError: when device or engine is unknown, or the engine not possible here.
        DeviceError: when the device is absent.
    """
    before = _evaluation(fitted)
    notes = []
    where = resolve_device(device if device != "auto" or before.device == "cuda" else "cpu")
    if where.type != before.device:
        notes.append(f"fitted on {before.device}, evaluated on {where.type}: the last bits may differ")
    blocks = before.block_points if where.type == before.device else None
    torch.set_num_threads(1)  # the block runner spreads the work
    runner = BlockRunner(where, threads=resolve_threads(threads), block_points=blocks)
    chosen = Engine("torch", "the model has no product layer")
    family = fitted.config.kernel_family
    if family is not None:
        dtype = next(fitted.model.parameters()).dtype
        chosen = _engine(engine, before.engine, family, dtype, where)
        if before.engine not in ("auto", chosen.name):
            notes.append(
                f"fitted with {before.engine}, evaluated with {chosen.name}: the last bits may differ"
            )
        use_engine(fitted.model, chosen.name)
    return Machine(runner, chosen, tuple(notes))


class _Evaluation(NamedTuple):
    """How a fit was measured, as far as its checkpoint says so."""

    device: str
    engine: str
    block_points: int | None


def _evaluation(fitted: Fitted) -> _Evaluation:
    """Read what the checkpoint says, and nothing that cannot be."""
    device, engine, blocks = (fitted.evaluation.get(key) for key in ("device", "engine", "block_points"))
    plausible = type(blocks) is int and 1 <= blocks <= LARGEST_BLOCK
    return _Evaluation(
        "cuda" if device == "cuda" else "cpu",
        str(engine) if engine in ENGINES else "auto",
        blocks if plausible else None,
    )


def _engine(asked: str, before: str, family: str, dtype: torch.dtype, device: torch.device) -> Engine:
    """Resolve `auto` to the engine of the fit; where that is not possible, to what is."""
    if asked == "auto":
        try:
            found = choose_engine(before, family=family, dtype=dtype, device=device, long_run=False)
            return found if before == "auto" else Engine(found.name, "as in the fit")
        except ConfigError:
            pass
    return choose_engine(asked, family=family, dtype=dtype, device=device, long_run=False)


def draw(fitted: Fitted, view: View, form: Format, runner: BlockRunner) -> Iterator[np.ndarray]:
    """Evaluate the fit band by band: whatever the size, in memory are `PART_VALUES` and a row of the result.

    Args:
        fitted: the fit.
        view: what to draw.
        form: how the values are written.
        runner: blocks and threads.

    Yields:
        float32 (rows, width, c), from the top.
    """
    width, n_channels = view.width, fitted.n_outputs
    kept = np.empty((0, n_channels), dtype=np.float32)
    for part in predict_parts(fitted, view.grid, runner, max(1, PART_VALUES // n_channels)):
        values = part.numpy()
        if (form.lower, form.span) != (0.0, 1.0):
            values = (values - np.float32(form.lower)) / np.float32(form.span)
        kept = np.concatenate([kept, values])
        rows = len(kept) // width
        if rows:
            yield kept[: rows * width].reshape(rows, width, n_channels)
            kept = kept[rows * width :]
