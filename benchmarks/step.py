"""One training step (forward, backward, Adam) of LRNN: fused engines against plain autograd; and of SIREN.

    python -m benchmarks.step [--points 65536] [--repeats 5] [--preset paper|fast]

Each engine runs in a process of its own, so that peak memory is its own: the extra memory is the peak
resident size minus that before the first step. The engines run one after the other; the ratios are of medians
within one run. `fast` is the network that pictures get with 200k parameters, `paper` the published one.
SIREN is there twice: as the obvious program, and in this tool's blocks on threads, as `--model siren` trains
it, which is what the rows of the engines have to be held against.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import torch

from benchmarks.machine import save, spread
from lrnn_cli.fitting.blocks import BlockRunner
from lrnn_cli.fitting.device import resolve_threads
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel, count_parameters, use_engine
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.objectives.samples import Samples
from lrnn_cli.tasks.settings import preset
from lrnn_cli.tasks.tuned import tuned_for

PLAIN, BLOCKS = "siren, plain autograd", "siren, blocks"
ENGINES = ("plain autograd", "fused", "compiled", PLAIN, BLOCKS)


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def _model(engine: str, which: str) -> CoordinateModel:
    name, options = "lrnn", tuned_for("image", "lrnn").options_for("lrnn", None)
    if engine.startswith("siren"):
        name, options = "siren", {}
    elif which == "paper":
        options = preset("paper", "lrnn")["model"]
    return build(name, config_class(name)(**options), n_inputs=2, n_outputs=1, seed=0)


def measure(engine: str, points: int, repeats: int, which: str) -> dict[str, object]:
    """Time steps in this process."""
    model = _model(engine, which)
    side = int(points**0.5)
    samples = Samples(Grid((side, points // side)), torch.rand(points, 1), shift=0.5, scale=0.5, peak=1.0)
    seconds = []
    if "plain autograd" in engine:
        # the obvious program: whole batch, all threads of torch, autograd keeps everything
        torch.set_num_threads(resolve_threads(None))
        use_engine(model, "reference")
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        coords, targets = samples.coords(torch.arange(points)), samples.targets
        before = _rss_mb()
        for _ in range(repeats + 1):
            began = time.perf_counter()
            optimizer.zero_grad()
            (model(coords) - targets).square().mean().backward()
            optimizer.step()
            seconds.append(time.perf_counter() - began)
    else:
        torch.set_num_threads(1)
        if engine != BLOCKS:  # whose layers are torch's own
            use_engine(model, engine)
        settings = FitSettings(steps=repeats + 1, batch_points="full", warmup_steps=0, guard=False)
        runner = BlockRunner(torch.device("cpu"), threads=resolve_threads(None))
        trainer = Trainer(
            model, samples, settings, runner, lr=1e-3, lstsq=(), batch_points=points, fresh=lambda k: model
        )
        before = _rss_mb()
        for _ in range(repeats + 1):
            began = time.perf_counter()
            trainer._step(0.0)
            seconds.append(time.perf_counter() - began)
        runner.close()
    return {
        "seconds": spread(seconds[1:]),
        "extra_mb": round(_rss_mb() - before, 1),
        "params": count_parameters(model),
    }


def main() -> None:
    """Run all engines and store the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=65_536)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--preset", default="paper", choices=("paper", "fast"))
    parser.add_argument("--engine", choices=ENGINES)
    args = parser.parse_args()
    if args.engine:
        print(json.dumps(measure(args.engine, args.points, args.repeats, args.preset)))
        return
    rows = {}
    for engine in ENGINES:
        command = [sys.executable, "-m", "benchmarks.step", "--engine", engine, "--preset", args.preset]
        command += ["--points", str(args.points), "--repeats", str(args.repeats)]
        rows[engine] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        print(engine, rows[engine], flush=True)
    plain = rows["plain autograd"]
    for row in rows.values():
        row["speed_ratio"] = round(plain["seconds"]["median"] / row["seconds"]["median"], 2)
        row["memory_ratio"] = round(row["extra_mb"] / plain["extra_mb"], 4)
    path = save(f"step_{args.preset}", {"points": args.points, "repeats": args.repeats, "engines": rows})
    for engine, row in rows.items():
        print(
            f"{engine:22s} {row['seconds']['median']:8.3f} s  {row['extra_mb']:8.0f} MB  "
            f"x {row['speed_ratio']} speed, {row['memory_ratio']} of the memory"
        )
    print(path)


if __name__ == "__main__":
    main()
