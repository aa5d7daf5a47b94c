"""Time and memory of a training step: every model, from few points to many, against the machine's ceilings.

    python -m benchmarks.speed [--points 4096,65536,1048576] [--models lrnn,lrnn-own,lrnn-paper,siren,...]
                               [--repeats 5] [--params 200000] [--device cuda]
    python -m benchmarks.speed --table

A step is forward, backward and Adam on N points of two coordinates and one value. `lrnn` is the network that
pictures get, `lrnn-own` the model's own default of four factors, `lrnn-paper` the published one. Every model
runs in this tool's blocks (`blocks`), LRNN and SIREN also as the obvious program that lets autograd keep the
whole batch (`plain`) where that fits into memory, each in a process of its own. The extra memory of the CPU
is the peak resident size during the steps less the resident size before them, after free memory was given
back to the system. FLOP are
those of the matrix products, counted while differentiating a few points with the obvious program, so that
recomputation does not count as work; the ceiling is the measured rate of a product of 1024 x 1024 float32
matrices on all cores, and bytes are set against the measured rate of copying 256 MiB. The bytes of a step are
the least that a program moves that keeps nothing in caches between layers: twice what autograd saves. A
program in blocks that stay in cache may exceed the rate of copies by this count.

On a GPU all rows run in one process, `blocks` are the tool's own steps, played as a CUDA graph, memory is
what torch allocated at most, the ceilings are those of 8192 x 8192 matrices, also in TF32, and of copying
2 GiB, and a time is that of several steps, launched without waiting, divided by their number.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.machine import RESULTS, save, spread
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.cuda_graph import WARM_UP
from lrnn_cli.fitting.device import resolve_threads
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.kernels.dispatch import choose_engine
from lrnn_cli.kernels.precision import choose_backward
from lrnn_cli.models.budget import fit_budget
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel, count_parameters, use_engine
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.samples import Samples
from lrnn_cli.tasks.settings import preset
from lrnn_cli.tasks.tuned import tuned_for

PROBE = 64  # points, to count work
# points up to which the obvious program is run: that of `paper` needs 6 GB at 65,536, of SIREN 10 GB at 1M
PLAIN_LARGEST = {
    "cpu": {"lrnn": 65_536, "lrnn-own": 65_536, "lrnn-paper": 65_536, "siren": 1_048_576},
    "cuda": {"lrnn": 262_144, "lrnn-own": 262_144, "lrnn-paper": 262_144, "siren": 262_144},
}
LARGE, REPEATS_OF_LARGE = 500_000, 3


def ceilings(device: torch.device) -> dict[str, float]:
    """Return GFLOP/s of matrix products and GB/s of copies on all cores."""
    torch.set_num_threads(resolve_threads(None))
    side, length = (1024, 2**26) if device.type == "cpu" else (8192, 2**29)
    a, b, c = (torch.rand(side, side, device=device) for _ in range(3))
    source, target = torch.rand(length, device=device), torch.empty(length, device=device)
    flop = 2 * side**3 / 1e9
    found = {
        "gflop_per_s": flop / best(lambda: torch.mm(a, b, out=c), device),
        "gb_per_s": 8 * length / 1e9 / best(lambda: target.copy_(source), device),
    }
    if device.type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = True
        found["tf32_gflop_per_s"] = flop / best(lambda: torch.mm(a, b, out=c), device)
        torch.backends.cuda.matmul.allow_tf32 = False
    return {key: round(value, 1) for key, value in found.items()}


def wait(device: torch.device) -> None:
    """Wait for what was launched."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def best(work: Callable[[], object], device: torch.device, repeats: int = 20) -> float:
    """Return the shortest time of a piece of work in seconds."""
    seconds = []
    for _ in range(repeats):
        wait(device)
        began = time.perf_counter()
        work()
        wait(device)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def make(name: str, params: int, device: torch.device) -> tuple[CoordinateModel, str]:
    """Return a model of about `params` parameters and the engine that it would train with here."""
    if name == "lrnn-paper":
        model, config = "lrnn", config_class("lrnn")(**preset("paper", "lrnn")["model"])
    else:
        model = name.removesuffix("-own")
        options = {} if model != name else tuned_for("image", model).options_for(model, None)
        options = config_class(model)(**options).for_signal((256, 256)).model_dump(exclude_unset=True)
        options.pop(config_class(model).width_key, None)  # the budget sets it
        config = fit_budget(model, options, params, n_inputs=2, n_outputs=1)[0]
    family = config.kernel_family
    engine = (
        choose_engine("auto", family=family, dtype=torch.float32, device=device).name if family else "torch"
    )
    return build(model, config, n_inputs=2, n_outputs=1, seed=0), engine


def work_per_point(model: CoordinateModel) -> tuple[float, float]:
    """Return FLOP of the matrix products of a step, and bytes saved by autograd, per point."""
    use_engine(model, "reference")
    saved = 0

    def count(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal saved
        saved += tensor.numel() * tensor.element_size() if tensor.dim() and tensor.shape[0] == PROBE else 0
        return tensor

    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            loss = model(torch.rand(PROBE, 2)).square().mean()
        loss.backward()
    return counter.get_total_flops() / PROBE, saved / PROBE


def reset_peak(device: torch.device) -> None:
    """Start counting the peak of memory anew, free memory given back first."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    else:  # Linux with glibc
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mb(device: torch.device) -> float:
    """Return the peak resident size since `reset_peak` in MiB, on a GPU what torch allocated at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**20
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**10


def measure(
    name: str, way: str, points: int, repeats: int, params: int, device: torch.device
) -> dict[str, object]:
    """Time steps in this process."""
    model, engine = make(name, params, device)
    flop, saved = work_per_point(model)
    model = model.to(device)
    values = torch.rand(points, 1, device=device)
    samples = Samples(Grid((points // 64, 64)), values, shift=0.5, scale=0.5, peak=1.0)
    step: Callable[[], object]
    warm_up, together = (1, 1) if device.type == "cpu" else (WARM_UP + 2, 8)
    if way == "plain":
        torch.set_num_threads(resolve_threads(None))
        engine = "reference"
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        coords = samples.coords(torch.arange(points, device=device))

        def step() -> None:
            optimizer.zero_grad()
            (model(coords) - samples.targets).square().mean().backward()
            optimizer.step()
    else:
        torch.set_num_threads(1)
        use_engine(model, engine)
        settings = FitSettings(
            steps=warm_up + repeats * together, batch_points="full", warmup_steps=0, guard=False
        )
        runner = BlockRunner(device, threads=resolve_threads(None))
        backward = choose_backward("auto", engine=engine, dtype=torch.float32, device=device).name
        trainer = Trainer(
            model, samples, settings, runner, lr=1e-3, lstsq=(), batch_points=points,
            fresh=lambda k: model, backward=backward,
        )  # fmt: skip

        def step() -> None:
            trainer._step(0.0)

    reset_peak(device)
    before = peak_mb(device)
    for _ in range(warm_up):
        step()
    seconds = []
    for _ in range(repeats):
        wait(device)
        began = time.perf_counter()
        for _ in range(together):
            step()
        wait(device)
        seconds.append((time.perf_counter() - began) / together)
    median = statistics.median(seconds)
    return {
        "model": name,
        "way": way,
        "engine": engine,
        "points": points,
        "params": count_parameters(model),
        "seconds": spread(seconds),
        "us_per_point": round(1e6 * median / points, 4),
        "extra_mb": round(peak_mb(device) - before, 1),
        "gflop_per_s": round(flop * points / median / 1e9, 2),
        "gb_per_s": round(2 * saved * points / median / 1e9, 2),
    }


def markdown(rows: list[dict[str, object]], limits: dict[str, float]) -> str:
    """Return all rows as a table."""
    product, copy = limits["gflop_per_s"], limits["gb_per_s"]
    lines = [
        f"Ceilings: {product:,.0f} GFLOP/s (float32 product), {copy:,.0f} GB/s (copy).",
        "",
        "| model | way, engine | points | s per step | µs per point | extra MB | GFLOP/s | GB/s |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for r in rows:
        seconds: dict[str, float] = r["seconds"]  # type: ignore[assignment]
        rate, moved = (float(str(r[key])) for key in ("gflop_per_s", "gb_per_s"))
        lines.append(
            f"| {r['model']} | {r['way']}, {r['engine']} | {r['points']:,} "
            f"| {seconds['median']:.3g} | {float(str(r['us_per_point'])):.3g} | {r['extra_mb']:,.0f} "
            f"| {rate:,.0f} ({rate / product:.0%}) | {moved:,.0f} ({moved / copy:.0%}) |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every row in a process of its own and store the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--points", default="4096,65536,1048576")
    parser.add_argument("--models", default="lrnn,lrnn-own,lrnn-paper,siren,spder,wire,kan")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--params", type=int, default=200_000)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--row", nargs=3, metavar=("MODEL", "WAY", "POINTS"), help=argparse.SUPPRESS)
    parser.add_argument("--table", action="store_true", help="write the tables of stored records anew")
    args = parser.parse_args()
    if args.table:
        for path in (RESULTS / "speed.json", RESULTS / "speed_cuda.json"):
            record = json.loads(path.read_text(encoding="utf-8"))
            path.with_suffix(".md").write_text(markdown(record["rows"], record["ceilings"]), encoding="utf-8")
        return
    device = torch.device(args.device)
    if args.row:
        name, way, points = args.row
        print(json.dumps(measure(name, way, int(points), args.repeats, args.params, device)))
        return
    limits = ceilings(device)
    print(limits, flush=True)
    rows: list[dict[str, object]] = []
    for points, name, way in product(
        map(int, args.points.split(",")), args.models.split(","), ("blocks", "plain")
    ):
        if way == "plain" and points > PLAIN_LARGEST[device.type].get(name, 0):
            continue
        repeats = args.repeats if points < LARGE else min(args.repeats, REPEATS_OF_LARGE)
        if device.type == "cuda":
            rows.append(measure(name, way, points, repeats, args.params, device))
        else:
            command = [sys.executable, "-m", "benchmarks.speed", "--row", name, way, str(points)]
            command += ["--repeats", str(repeats), "--params", str(args.params)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            rows.append(json.loads(done.stdout))
        print(rows[-1], flush=True)
    name = "speed" if device.type == "cpu" else f"speed_{device.type}"
    path = save(name, {"ceilings": limits, "rows": rows})
    path.with_suffix(".md").write_text(markdown(rows, limits), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
