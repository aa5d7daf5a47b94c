"""Laplacian of product networks: closed form with Gram entries against nested reverse differentiation.

    python -m benchmarks.laplacian [--points 1024] [--rank 64] [--dbar 4] [--repeats 15] [--threads 1]

One measurement is what a training step needs: u, ∇u, Δu at all points and the gradient of |Δu|² by all
weights. Each way runs in a process of its own, so that peak memory is its own: the extra memory is the peak
resident size minus that before the first pass. Ratios are of medians within one run. Nested differentiation
is given the same factor-first layout, with the whole batch at once and in blocks of points. "closed form"
is the one of the solvers' own shallow network, its gradient left to torch. "fused" and "compiled" are the
engines of the product layer, which serve any sigma, several components and deep networks alike.

`equation` is a whole gradient of `solve-poisson --problem multi-scale --model lrnn --solver adam`, all cores,
in this process, the engines in turns.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch
from torch import Tensor

from benchmarks.machine import save, spread
from lrnn_cli.fitting.allocator import keep_freed_memory
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.catalog_network import choose_config, start_catalog_network
from lrnn_cli.fitting.device import resolve_threads
from lrnn_cli.fitting.train_equation import ROWS_PER_PARAMETER
from lrnn_cli.kernels.dispatch import product_layer
from lrnn_cli.numerics.calculus import product_jet, sine_factors
from lrnn_cli.numerics.jets import Jet, nested
from lrnn_cli.numerics.taylor import Taylor, lift
from lrnn_cli.objectives.collocation import TRAINING_FLOOR, choose_points, collocate, measure_scales
from lrnn_cli.objectives.named_problems import named_problem
from lrnn_cli.objectives.poisson import ProblemConfig
from lrnn_cli.objectives.unsteady import compile_equation

WAYS = ("nested", "nested in blocks", "taylor", "closed form", "fused", "compiled")
ENGINES = ("reference", "fused", "compiled")
DIMENSIONS = (2, 10)
BLOCK = 256  # points worked on at once


def _jet(way: str, weights: tuple[Tensor, ...], points: Tensor) -> Jet:
    weight, bias, amplitude, head = weights
    if way == "closed form":
        return product_jet(weight, bias, sine_factors(amplitude), points, head)
    if way == "taylor":
        origin, scale = torch.zeros_like(points[0]), torch.ones_like(points[0])
        x = lift(points, origin, scale)
        factors = [(x @ a.T + b).sin() * v[0] + 1.0 for a, b, v in zip(weight, bias, amplitude, strict=True)]
        product: Taylor = factors[0]
        for factor in factors[1:]:
            product = product * factor
        u = product @ head[:, None]
        return Jet(u.value[:, 0], u.gradient[:, :, 0], u.laplacian[:, 0])

    if way in ("fused", "compiled"):
        x = lift(points, torch.zeros_like(points[0]), torch.ones_like(points[0]))
        one = torch.ones_like(amplitude.squeeze(1))[None]
        phi = product_layer(
            x, weight, bias, amplitude.squeeze(1)[None], one, torch.zeros_like(one),
            family="sin", gamma=1.0, offset=1.0, centre=0.0, engine=way,
        )  # fmt: skip
        u = phi @ head[:, None]
        return Jet(u.value[:, 0], u.gradient[:, :, 0], u.laplacian[:, 0])

    def network(x: Tensor) -> Tensor:
        z = torch.matmul(x, weight.transpose(1, 2)) + bias[:, None]
        return (1.0 + amplitude * z.sin()).prod(0) @ head

    return nested(network, points)


def _gradients(way: str, weights: tuple[Tensor, ...], points: Tensor) -> tuple[Tensor, ...]:
    """Return the gradient of |Δu|² over some points."""
    return torch.autograd.grad(_jet(way, weights, points).laplacian.square().sum(), weights)


def measure(
    way: str, d: int, points: int, rank: int, dbar: int, repeats: int, threads: int
) -> dict[str, object]:
    """Time passes in this process."""
    torch.set_num_threads(threads)
    keep_freed_memory()  # as the program does
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_(True)

    weights = (draw(dbar, rank, d), draw(dbar, rank), draw(dbar, 1, rank), draw(rank))
    x = torch.rand(points, d, generator=generator, dtype=torch.float64)
    block = points if way in ("nested", "fused", "compiled") else BLOCK  # engines have blocks of their own
    # a small pass first: it loads what torch loads late
    _gradients(way, weights, x[:2])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    seconds = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        gradients = [torch.zeros_like(w) for w in weights]
        for start in range(0, points, block):
            for kept, part in zip(gradients, _gradients(way, weights, x[start : start + block]), strict=True):
                kept += part
        seconds.append(time.perf_counter() - began)
    extra = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before
    norm = float(torch.stack([g.norm() for g in gradients]).norm())
    return {"seconds": spread(seconds[1:]), "extra_mb": round(extra, 1), "gradient_norm": norm}


def equation(repeats: int) -> dict[str, object]:
    """Time gradients of the mean square residual of an equation, engine by engine in turns."""
    problem = compile_equation(ProblemConfig(**named_problem("multi-scale")))
    config, params = choose_config("lrnn", {}, None, problem.n_inputs)
    n_rows = round(ROWS_PER_PARAMETER * params)
    scales = measure_scales(problem, floor=TRAINING_FLOOR)
    rows = collocate(problem, n_rows, scales, points=choose_points(problem, n_rows, "auto")).rows
    runner = BlockRunner(torch.device("cpu"), threads=resolve_threads(None))
    seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for _ in range(repeats + 1):
        for engine in ENGINES:
            network = start_catalog_network(problem, "lrnn", config, 0, rows, runner, engine)
            began = time.perf_counter()
            network.loss_and_gradient(network.theta, rows, runner)
            seconds[engine].append(time.perf_counter() - began)
    runner.close()
    found = {engine: spread(times[1:]) for engine, times in seconds.items()}
    return {"params": params, "rows": len(rows), "seconds": found}


def main() -> None:
    """Run all ways and store the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("points", 1024), ("rank", 64), ("dbar", 4), ("repeats", 15), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--way", choices=WAYS)
    parser.add_argument("--dim", type=int, default=2)
    args = parser.parse_args()
    sizes = (args.points, args.rank, args.dbar, args.repeats, args.threads)
    if args.way:
        print(json.dumps(measure(args.way, args.dim, *sizes)))
        return
    names = ("points", "rank", "dbar", "repeats", "threads")
    flags = [f"--{name}={value}" for name, value in zip(names, sizes, strict=True)]
    table = {}
    for d in DIMENSIONS:
        rows = {}
        for way in WAYS:
            command = [sys.executable, "-m", "benchmarks.laplacian", "--way", way, "--dim", str(d), *flags]
            rows[way] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        compiled = rows["compiled"]
        for row in rows.values():
            row["times_compiled"] = round(row["seconds"]["median"] / compiled["seconds"]["median"], 2)
            row["memory_times_compiled"] = round(row["extra_mb"] / compiled["extra_mb"], 2)
        table[f"d={d}"] = rows
        for way, row in rows.items():
            print(
                f"d={d:<3d} {way:22s} {row['seconds']['median'] * 1e3:8.1f} ms  {row['extra_mb']:7.1f} MB  "
                f"{row['times_compiled']:6.2f} x compiled",
                flush=True,
            )
    torch.set_num_threads(1)
    whole = equation(40)
    print(whole)
    print(save("laplacian", {**dict(zip(names, sizes, strict=True)), "ways": table, "equation": whole}))


if __name__ == "__main__":
    main()
