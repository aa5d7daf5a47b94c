"""Evaluating a fit on any grid in bounded memory."""

import torch
from torch import Tensor

from lrnn_cli.fitting.blocks import BlockRunner, ranges
from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.numerics.coords import Grid


def predict(fitted: Fitted, grid: Grid, runner: BlockRunner) -> Tensor:
    """Return the stored-unit values of a fit on a grid, float32 (n_1, ..., n_d, c), on the CPU.

    Blocks start at fixed places, so that the same grid gives the same bits whatever the number of threads.
    """
    model = fitted.model.to(runner.device)
    dtype = next(model.parameters()).dtype
    values = torch.empty(grid.size, fitted.n_outputs)

    def block(span: tuple[int, int]) -> None:
        with torch.no_grad():
            indices = torch.arange(*span, device=runner.device)
            prediction = model(grid.coords(indices).to(dtype))
            values[span[0] : span[1]] = (prediction * fitted.scale + fitted.shift).cpu()

    def everything() -> None:
        for _ in runner.map(block, ranges(grid.size, runner.block_points)):
            pass

    runner.with_less_memory(everything)
    return values.reshape(*grid.shape, fitted.n_outputs)
