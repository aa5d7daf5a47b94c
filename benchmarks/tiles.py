"""Tiles of the Triton kernels on this GPU: the time of each kernel for each tile, layers of both presets.

    python -m benchmarks.tiles [--points 65536,2048]
    ncu ... python -m benchmarks.tiles --once      # each kernel once with the tiles in use, for a profiler

Compiling is shared among processes, timing is done by one, with events, the median of 7 groups of launches.
"""

import argparse
import itertools
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import torch

from benchmarks.machine import save
from lrnn_cli.kernels import triton

LAYERS = {  # d, D, R
    "paper first": (2, 16, 106), "paper hidden": (106, 16, 106), "default first": (2, 4, 156),
    "default hidden": (156, 4, 156),
}  # fmt: skip
CONSTANTS = {"family": "spder", "gamma": 0.3, "offset": 1.0, "centre": 0.1}
# BN, BR, BK, num_warps, num_stages; BK means nothing to the first layers
WIDE = {
    "forward_kernel": (
        (64, 32, 32, 4, 3), (64, 32, 32, 4, 2), (64, 32, 32, 8, 3), (64, 64, 32, 8, 3), (32, 32, 32, 4, 3),
        (64, 32, 64, 4, 3), (32, 64, 32, 4, 3), (16, 64, 32, 4, 3), (128, 32, 32, 8, 3), (128, 64, 32, 8, 3),
    ),
    "backward_kernel": (
        (64, 32, 32, 8, 3), (64, 32, 32, 8, 2), (64, 32, 32, 4, 3), (64, 64, 32, 8, 3), (32, 32, 32, 4, 3),
        (32, 32, 32, 8, 3), (64, 16, 32, 4, 3), (16, 64, 32, 4, 3), (128, 32, 32, 8, 3), (32, 64, 32, 8, 3),
    ),
}  # fmt: skip
NARROW = {
    "forward_kernel": ((64, 32, 32, 4, 3), (32, 32, 32, 4, 3), (64, 64, 32, 8, 3), (16, 64, 32, 4, 3),
                       (64, 32, 32, 8, 3), (128, 32, 32, 8, 3), (32, 32, 32, 2, 3)),
    "backward_kernel": ((64, 32, 32, 8, 3), (32, 32, 32, 4, 3), (64, 32, 32, 4, 3), (64, 64, 32, 8, 3),
                        (16, 64, 32, 4, 3), (128, 32, 32, 8, 3), (64, 16, 32, 4, 3)),
}  # fmt: skip
NAMES = ("BN", "BR", "BK", "num_warps", "num_stages")


def launcher(layer: str, kernel: str, tile: tuple[int, ...], points: int) -> Any:
    """Return a call that launches a kernel once."""
    d, n_factors, n_neurons = LAYERS[layer]
    torch.manual_seed(0)
    shapes = [(points, d), (n_factors, n_neurons, d), (n_factors, n_neurons)]
    inputs = [torch.randn(s, device="cuda") for s in (*shapes, *[(1, n_factors, n_neurons)] * 3)]
    inputs[1] /= d**0.5
    triton.TILES[kernel] = dict(zip(NAMES, tile, strict=True))
    if kernel == "forward_kernel":
        tensors, more = [*inputs, torch.empty(points, n_neurons, device="cuda")], {}
    else:
        alone = d <= triton.NARROW
        lines = 4 + (d if alone else 0)
        blocks = -(-points // tile[0])
        tensors = [*inputs, torch.randn(points, n_neurons, device="cuda")]
        tensors.append(torch.empty(points, n_factors, n_neurons, device="cuda"))
        tensors.append(torch.empty(blocks, lines, n_factors, n_neurons, device="cuda"))
        more = {"ALONE": alone}
    return lambda: triton._launch(kernel, tensors, inputs[1], 1, points, **CONSTANTS, **more)


def compile_one(task: tuple[str, str, tuple[int, ...]]) -> str | None:
    """Compile by launching on few points; return what failed."""
    try:
        launcher(*task, points=512)()
        torch.cuda.synchronize()
    except Exception as error:  # a tile that is too large for the GPU is a row without a time
        return (str(error).splitlines() or [type(error).__name__])[0][:120]
    return None


def milliseconds(launch: Any) -> float:
    """Return the median time of a launch."""
    for _ in range(3):
        launch()
    groups = []
    for _ in range(7):
        began, ended = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        began.record()
        for _ in range(5):
            launch()
        ended.record()
        torch.cuda.synchronize()
        groups.append(began.elapsed_time(ended) / 5)
    return statistics.median(groups)


def main() -> None:
    """Time every tile, store the table, print the best."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", default="65536,2048")
    parser.add_argument("--once", action="store_true")
    args = parser.parse_args()
    if args.once:
        for layer, kernel in itertools.product(LAYERS, tuple(triton.TILES)):
            tile = tuple(triton.TILES[kernel].get(name, 3) for name in NAMES)
            launcher(layer, kernel, tile, 65536)()
            torch.cuda.synchronize()
        return
    tasks = [
        (layer, kernel, tile)
        for layer, (d, _, _) in LAYERS.items()
        for kernel, tiles in (NARROW if d <= triton.NARROW else WIDE).items()
        for tile in tiles
    ]
    with ProcessPoolExecutor(min(12, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        failed = list(pool.map(compile_one, tasks))
    rows = []
    for (layer, kernel, tile), problem in zip(tasks, failed, strict=True):
        row: dict[str, Any] = {"layer": layer, "kernel": kernel, **dict(zip(NAMES, tile, strict=True))}
        for points in map(int, args.points.split(",")) if problem is None else ():
            row[f"ms_{points}"] = round(milliseconds(launcher(layer, kernel, tile, points)), 4)
        rows.append({**row, "problem": problem} if problem else row)
    print(save("tiles", {"rows": rows}))
    for row in rows:
        print(*row.values())


if __name__ == "__main__":
    main()
