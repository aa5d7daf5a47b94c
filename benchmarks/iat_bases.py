"""The bases of IAT-ReLU on the two tasks of its paper: 6 x 6 table, mesh ratios, other networks beside them.

    python -m benchmarks.iat_bases [--steps 2000] [--seeds 3] [--jobs 2] [--device cuda]

Tasks, both on a 50 x 50 mesh on [-1, 1]^2: a high-frequency function, mean square error, and labels of -1 and
1 at random, the part that the sign of the fit gets right. Networks: `iat-relu` with 10 layers of 10 neurons
and M = 500 for each pair of bases; with Fourier and PWQ for mesh ratios M / 10 from 1 to 16; `mlp-relu`,
`mlp-tanh`, `mlp-sigmoid` of the same shape; `lrnn` with 2 layers and as many parameters. Those sizes are the
paper's. It names neither optimiser nor learning rate, steps, loss of the labels or formula of the function;
here it is full-batch Adam with a cosine to 0, mean square error for both and the library's `high-frequency`,
so that orders can be compared, figures cannot. The learning rate of each network on each task is the best of
`--rates` on a seed that is not counted, alike for all.

Results go to results/iat_bases.json after every run, with tables in results/iat_bases.md; an interrupted
benchmark goes on from there.
"""

import argparse
import json
import math
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from typing import Any

import torch

from benchmarks.machine import RESULTS, save, spread
from lrnn_cli.models.budget import fit_budget, parameters_of
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.line_bases import BASES
from lrnn_cli.objectives.function_targets import Choices, named_target

NAME = "iat_bases"
TASKS = ("high-frequency", "random-labels")
SIDE = 50
SHAPE = {"width": 10, "depth": 10}
POINTS = 500
RATIOS = (1, 2, 4, 8, 16)
TUNING_SEED = 1000

Network = tuple[str, dict[str, Any]]


@lru_cache
def networks() -> dict[str, Network]:
    """Every network by the name it has in the results."""
    found: dict[str, Network] = {}
    for p in BASES:
        for q in BASES:
            bases = {"input_basis": p, "output_basis": q}
            found[f"{p} x {q}"] = ("iat-relu", {**SHAPE, **bases, "points": POINTS})
    for ratio in RATIOS:
        bases = {"input_basis": "fourier", "output_basis": "pwq"}
        found[f"mesh ratio {ratio}"] = ("iat-relu", {**SHAPE, **bases, "mesh_ratio": ratio})
    for name in ("mlp-relu", "mlp-tanh", "mlp-sigmoid"):
        found[name] = (name, dict(SHAPE))
    n_params = parameters_of("mlp-relu", config_class("mlp-relu")(**SHAPE), 2, 1)
    config, _ = fit_budget("lrnn", {"depth": 2}, n_params, n_inputs=2, n_outputs=1)
    found["lrnn"] = ("lrnn", config.model_dump())
    return found


def run(task: str, network: str, seed: int, rate: float, steps: int, device: str = "cpu") -> dict[str, Any]:
    """Train one network, on one thread if on the CPU."""
    torch.set_num_threads(1)
    name, options = networks()[network]
    model = build(name, config_class(name)(**options), n_inputs=2, n_outputs=1, seed=seed).to(device)
    coords = Grid((SIDE, SIDE)).coords(torch.arange(SIDE**2))
    target = torch.from_numpy(named_target(task, Choices()).values(coords.double().numpy())).float()
    coords, target = coords.to(device), target.to(device)
    rates = [{"params": [p], "lr": rate * model.rate_factor(key)} for key, p in model.named_parameters()]
    optimizer = torch.optim.Adam(rates, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        optimizer.zero_grad()
        (model(coords)[:, 0] - target).square().mean().backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        values = model(coords)[:, 0]
    mse, accuracy = float((values - target).square().mean()), float((values * target > 0).float().mean())
    return {
        "task": task,
        "network": network,
        "seed": seed,
        "lr": rate,
        "value": accuracy if task == "random-labels" else mse,
        "mse": mse,
        "params": sum(p.numel() for p in model.parameters()),
    }


def best_rate(runs: list[dict[str, Any]], task: str, network: str) -> float:
    """The rate with the smallest error on the seed for tuning; a fit that diverged is the worst."""
    tried = [r for r in runs if (r["task"], r["network"], r["seed"]) == (task, network, TUNING_SEED)]
    return min(tried, key=lambda r: r["mse"] if math.isfinite(r["mse"]) else math.inf)["lr"]


def counted(runs: list[dict[str, Any]], task: str, network: str) -> list[float]:
    """Results of the seeds that count."""
    return [
        r["value"] for r in runs if (r["task"], r["network"]) == (task, network) and r["seed"] != TUNING_SEED
    ]


def cell(values: list[float], task: str) -> str:
    """Median and extremes as text."""
    if not values:
        return "–"
    form = (lambda v: f"{100 * v:.1f} %") if task == "random-labels" else (lambda v: f"{v:.1e}")
    return f"{form(statistics.median(values))} ({form(min(values))} … {form(max(values))})"


def markdown(runs: list[dict[str, Any]], budget: dict[str, Any]) -> str:
    """One table of bases and one list of the other networks per task."""
    text = f"Median (smallest … largest) over seeds; {budget}.\n"
    for task in TASKS:
        text += f"\n## {task}\n\n| p \\ q | " + " | ".join(BASES) + " |\n" + "|---" * (len(BASES) + 1) + "|\n"
        for p in BASES:
            row = [cell(counted(runs, task, f"{p} x {q}"), task) for q in BASES]
            text += f"| `{p}` | " + " | ".join(row) + " |\n"
        text += "\n| network | result |\n|---|---|\n"
        for network in networks():
            if " x " not in network:
                text += f"| {network} | {cell(counted(runs, task, network), task)} |\n"
    return text


def store(name: str, budget: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """Write everything found so far."""
    summary = [
        {"task": task, "network": network, "lr": best_rate(runs, task, network), **spread(values)}
        for task in TASKS
        for network in networks()
        if (values := counted(runs, task, network))
    ]
    save(name, {"budget": budget, "summary": summary, "runs": runs})
    (RESULTS / f"{name}.md").write_text(markdown(runs, budget), encoding="utf-8")


def earlier(name: str, budget: dict[str, Any]) -> list[dict[str, Any]]:
    """Runs of an interrupted benchmark with the same budget."""
    path = RESULTS / f"{name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return record["runs"] if record.get("budget") == budget else []


def main(argv: list[str] | None = None) -> None:
    """Tune, run, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seeds", type=int, default=3, help="per network")
    parser.add_argument("--ratio-seeds", type=int, default=10, help="per mesh ratio")
    parser.add_argument("--rates", default="1e-3,3e-3,1e-2", help="learning rates to choose from")
    parser.add_argument("--tasks", default=",".join(TASKS), help="names with commas between them")
    parser.add_argument(
        "--networks", default="", help="only those whose name contains one of these, by commas"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default=NAME, help="of the files in results/")
    args = parser.parse_args(argv)
    rates = [float(rate) for rate in args.rates.split(",")]
    budget = {"steps": args.steps, "rates": rates, "device": args.device}
    wanted = [n for n in networks() if any(part in n for part in args.networks.split(","))]
    runs = earlier(args.name, budget)
    with ProcessPoolExecutor(args.jobs) as pool:

        def finish(jobs: list[tuple[str, str, int, float]]) -> None:
            done = {(r["task"], r["network"], r["seed"], r["lr"]) for r in runs}
            for future in as_completed(
                [pool.submit(run, *job, args.steps, args.device) for job in jobs if job not in done]
            ):
                runs.append(future.result())
                last = runs[-1]
                print(*(last[key] for key in ("task", "network", "seed", "lr", "value")), flush=True)
                store(args.name, budget, runs)

        pairs = [(task, network) for task in args.tasks.split(",") for network in wanted]
        finish([(*pair, TUNING_SEED, rate) for pair in pairs for rate in rates])
        finish(
            [
                (*pair, seed, best_rate(runs, *pair))
                for pair in pairs
                for seed in range(args.ratio_seeds if pair[1].startswith("mesh") else args.seeds)
            ]
        )


if __name__ == "__main__":
    main()
