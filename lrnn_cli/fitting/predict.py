"""Evaluating a fit on any grid, or at any points, in bounded memory."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lrnn_cli.fitting.blocks import BlockRunner, ranges
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.numerics.points import Places


def predict(fitted: Fitted, grid: Places, runner: BlockRunner) -> Tensor:
    """Return the stored-unit values of a fit on a grid, float32 (n_1, ..., n_d, c), on the CPU.

    At scattered points they are (n, c). Blocks start at fixed places, so that the same grid gives the same
    bits whatever the number of threads.
    """
    return next(predict_parts(fitted, grid, runner, grid.size)).reshape(*grid.shape, fitted.n_outputs)


def predict_parts(fitted: Fitted, grid: Places, runner: BlockRunner, part_points: int) -> Iterator[Tensor]:
    """Yield the values of `predict` part by part: in bounded memory, and with the same bits.

    Args:
        fitted: the fit; its model is moved to the device of the runner.
        grid: where to evaluate it.
        runner: blocks and threads.
        part_points: points of a part, rounded up to whole blocks.

    Yields:
        The values at the next points in row-major order, float32 (m, c), on the CPU.
    """
    model = fitted.model.to(runner.device)
    dtype = model.coords_dtype or next(model.parameters()).dtype
    start = 0
    while start < grid.size:
        stop = min(grid.size, start - (-part_points // runner.block_points) * runner.block_points)

        def part(start: int = start, stop: int = stop) -> Tensor:
            values = torch.empty(stop - start, fitted.n_outputs)

            def block(span: tuple[int, int]) -> None:
                with torch.no_grad():
                    indices = torch.arange(start + span[0], start + span[1], device=runner.device)
                    prediction = model(grid.coords(indices, dtype))
                    values[span[0] : span[1]] = (prediction * fitted.scale + fitted.shift).cpu()

            for _ in runner.map(block, ranges(stop - start, runner.block_points)):
                pass
            return values

        yield runner.with_less_memory(part)
        start = stop
