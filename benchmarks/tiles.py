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
from lrnn_cli.kernels import precision, triton

LAYERS = {  # d, D, R
    "paper first": (2, 16, 106), "paper hidden": (106, 16, 106), "default first": (2, 4, 156),
    "default hidden": (156, 4, 156),
}  # fmt: skip
CONSTANTS = {"family": "spder", "gamma": 0.3, "offset": 1.0, "centre": 0.1}
CANDIDATES = (  # BN, BR, num_warps
    (32, 32, 4), (16, 64, 4), (64, 32, 4), (64, 32, 8), (64, 16, 4), (128, 32, 8), (32, 64, 8), (32, 64, 4),
    (16, 128, 4), (16, 32, 2), (32, 128, 8), (16, 64, 2), (128, 16, 4),
)  # fmt: skip
NAMES = ("BN", "BR", "num_warps")


def launcher(layer: str, kernel: str, tile: tuple[int, ...], points: int) -> Any:
    """Return a call that launches a kernel once."""
    d, n_factors, n_neurons = LAYERS[layer]
    torch.manual_seed(0)
    shapes = [(points, d), (n_factors, n_neurons, d), (n_factors, n_neurons)]
    inputs = [torch.randn(s, device="cuda") for s in (*shapes, *[(1, n_factors, n_neurons)] * 3)]
    inputs[1] /= d**0.5
    triton.TILES[kernel] = dict(zip(NAMES, tile, strict=True))
    x, weight = inputs[:2]
    few = d <= triton.NARROW
    projected = [x, weight, x if few else torch.randn(points, n_factors, n_neurons, device="cuda")]
    more: dict[str, Any] = {}
    if kernel == "forward_kernel":
        tensors = [*projected, *inputs[2:], torch.empty(points, n_neurons, device="cuda")]
    else:
        blocks = -(-points // tile[0])
        tensors = [*projected, *inputs[2:], torch.randn(points, n_neurons, device="cuda")]
        tensors.append(torch.empty(points, n_factors, n_neurons, device="cuda"))
        tensors.append(torch.empty(blocks, 3 + (d if few else 0), n_factors, n_neurons, device="cuda"))
        more = {"ALONE": few}
    return lambda: triton._launch(kernel, tensors, d, 1, points, **CONSTANTS, **more)


def matrix_products(layer: str, points: int) -> dict[str, float]:
    """Return milliseconds of the products around the kernels: projection, dW, dx."""
    d, n_factors, n_neurons = LAYERS[layer]
    x = torch.randn(points, d, device="cuda")
    weight = torch.randn(n_factors, n_neurons, d, device="cuda") / d**0.5
    matrix, dz = weight.flatten(0, 1), torch.randn(points, n_factors * n_neurons, device="cuda")
    exact = x.double() @ matrix.double().T
    project = triton._Projection(weight, 2**31)  # in parts
    found = {
        "relative_error_in_parts": float((project.of(x).flatten(1) - exact).abs().max() / exact.abs().max()),
        "relative_error_float32": float((x @ matrix.T - exact).abs().max() / exact.abs().max()),
        "ms_projection_in_parts": milliseconds(lambda: triton._Projection(weight, 2**31).of(x)),
        "ms_projection_float32": milliseconds(lambda: x @ matrix.T),
    }
    dweight, dx = torch.zeros_like(matrix), torch.empty_like(x)
    for name in ("tf32", "full"):
        found[f"ms_dw_{name}"] = milliseconds(lambda: precision.add_product_(dweight, dz.T, x, name))  # noqa: B023
        found[f"ms_dx_{name}"] = milliseconds(lambda: precision.product_into(dx, dz, matrix, name))  # noqa: B023
    return found


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
            tile = tuple(triton.TILES[kernel][name] for name in NAMES)
            launcher(layer, kernel, tile, 65536)()
            torch.cuda.synchronize()
        return
    tasks = list(itertools.product(LAYERS, tuple(triton.TILES), CANDIDATES))
    with ProcessPoolExecutor(min(12, os.cpu_count() or 1), mp_context=get_context("spawn")) as pool:
        failed = list(pool.map(compile_one, tasks))
    rows = []
    for (layer, kernel, tile), problem in zip(tasks, failed, strict=True):
        row: dict[str, Any] = {"layer": layer, "kernel": kernel, **dict(zip(NAMES, tile, strict=True))}
        for points in map(int, args.points.split(",")) if problem is None else ():
            row[f"ms_{points}"] = round(milliseconds(launcher(layer, kernel, tile, points)), 4)
        rows.append({**row, "problem": problem} if problem else row)
    products = [
        {"layer": layer, "points": points, **matrix_products(layer, points)}
        for layer, points in itertools.product(LAYERS, map(int, args.points.split(",")))
        if LAYERS[layer][0] > triton.NARROW
    ]
    print(save("tiles_cuda", {"rows": rows, "products": products}))
    for product in products:
        print(product)
    for row in rows:
        print(*row.values())


if __name__ == "__main__":
    main()
