"""The bases of IAT-ReLU on the two tasks of its paper: 6 x 6 table, mesh ratios, other networks beside them.

    python -m benchmarks.iat_bases [--steps 6000] [--seeds 3] [--points 40] [--jobs 2] [--device cuda]

Tasks, both on a 50 x 50 mesh on [-1, 1]^2: a high-frequency function, mean square error, and labels of -1
and 1 at random, the part that the sign of the fit gets right. Networks: `iat-relu` with 10 layers of 10
neurons for each pair of bases; with Fourier and PWQ for mesh ratios M / 10 from 1 to 16; `mlp-relu`,
`mlp-tanh`, `mlp-sigmoid` of the same shape; `lrnn` with 2 layers, the first frequency that `lrnn
fit-function` chooses, a third of the steps and as many parameters. Those sizes are the paper's, and its M
is 500; here it is `--points`, by default the library's mesh ratio of 4, and some pairs are fitted with
500, too. It names neither optimiser nor learning rate, steps, loss of the labels or formula of the
function; here it is Adam with a cosine to 0 on batches of 250 points, drawn without replacement, mean
square error for both and the library's `high-frequency`, so that orders can be compared, figures cannot.
The learning rate of each network on each task is the best of `--rates` on a seed that is not counted,
alike for all; other M of a pair take the rate of the pair.

On a CPU with a C compiler the networks of width 10 are trained by `iat_native.py`, else by tensors.

Results go to results/iat_bases.json after every run, with tables in results/iat_bases.md; an interrupted
benchmark goes on from there.
"""

import argparse
import math
import statistics
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from benchmarks import iat_native
from benchmarks.machine import RESULTS, earlier, save, spread
from lrnn_cli.models.budget import fit_budget, parameters_of
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.models.mlp import Mlp
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.line_bases import BASES
from lrnn_cli.objectives.function_targets import Choices, named_target
from lrnn_cli.tasks.function_defaults import base_frequency

NAME = "iat_bases"
TASKS = ("high-frequency", "random-labels")
SIDE, BATCH = 50, 250
SHAPE = {"width": 10, "depth": 10}
PAPER_POINTS = 500
CHECKED = (("fourier", "pwl"), ("pwl", "pwq"), ("rect-w", "pwq"))  # with PAPER_POINTS, too
RATIOS = (1, 2, 4, 8, 16)
RATIO_PAIR = ("fourier", "pwq")
TUNING_SEED = 1000
LRNN_PART = 3  # of the steps: one of its steps takes as long as many of the others

Network = tuple[str, dict[str, Any]]


@lru_cache
def networks(points: int) -> dict[str, Network]:
    """Every network by the name it has in the results; `points` is M of the pairs."""
    found: dict[str, Network] = {}
    for p in BASES:
        for q in BASES:
            bases = {"input_basis": p, "output_basis": q}
            found[f"{p} x {q}"] = ("iat-relu", {**SHAPE, **bases, "points": points})
    for ratio in RATIOS:
        bases = dict(zip(("input_basis", "output_basis"), RATIO_PAIR, strict=True))
        found[f"mesh ratio {ratio}"] = ("iat-relu", {**SHAPE, **bases, "mesh_ratio": ratio})
    for p, q in CHECKED:
        bases = {"input_basis": p, "output_basis": q}
        found[f"{p} x {q}, M {PAPER_POINTS}"] = ("iat-relu", {**SHAPE, **bases, "points": PAPER_POINTS})
    for name in ("mlp-relu", "mlp-tanh", "mlp-sigmoid"):
        found[name] = (name, dict(SHAPE))
    n_params = parameters_of("mlp-relu", config_class("mlp-relu")(**SHAPE), 2, 1)
    config, _ = fit_budget("lrnn", {"depth": 2}, n_params, n_inputs=2, n_outputs=1)
    found["lrnn"] = ("lrnn", config.model_dump())
    return found


def tuned_as(network: str) -> str:
    """Return the network whose learning rate a network takes."""
    if network.startswith("mesh ratio"):
        return " x ".join(RATIO_PAIR)
    return network.split(",")[0]


def run(
    task: str, network: str, seed: int, rate: float, steps: int, points: int, device: str = "cpu"
) -> dict[str, Any]:
    """Train one network, on one thread if on the CPU."""
    torch.set_num_threads(1)
    name, options = networks(points)[network]
    mesh, function = Grid((SIDE, SIDE)), named_target(task, Choices())
    coords = mesh.coords(torch.arange(SIDE**2))
    truth = function.values(coords.double().numpy())
    if name == "lrnn":  # as `lrnn fit-function` does
        omega = base_frequency(function, mesh, truth.reshape(mesh.shape), products=True)
        options, steps = {**options, "omega_first": omega}, steps // LRNN_PART
    model = build(name, config_class(name)(**options), n_inputs=2, n_outputs=1, seed=seed).to(device)
    coords, target = coords.to(device), torch.from_numpy(truth).float().to(device)
    order = batches(steps, seed)
    in_c = device == "cpu" and iat_native.serves(name, options)
    if in_c:
        assert isinstance(model, Mlp)
        iat_native.train(name, model, coords, target, order, rate=rate)
    else:
        train(model, coords, target, order.to(device), rate=rate)
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
        "engine": "c" if in_c else "torch",
    }


def batches(steps: int, seed: int) -> Tensor:
    """Return the points of each step (steps, BATCH): all points once before any comes again."""
    draw = torch.Generator().manual_seed(seed)
    passes = -(-steps * BATCH // SIDE**2)
    order = torch.cat([torch.randperm(SIDE**2, generator=draw, dtype=torch.int32) for _ in range(passes)])
    return order[: steps * BATCH].reshape(steps, BATCH)


def train(model: CoordinateModel, coords: Tensor, target: Tensor, order: Tensor, *, rate: float) -> None:
    """Fit target (n,) at coords (n, d) with Adam and a cosine to 0 on the points of each row of `order`."""
    rates = [{"params": [p], "lr": rate * model.rate_factor(key)} for key, p in model.named_parameters()]
    optimizer = torch.optim.Adam(rates, lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, len(order))
    for chosen in order.long():
        optimizer.zero_grad()
        (model(coords[chosen])[:, 0] - target[chosen]).square().mean().backward()
        optimizer.step()
        schedule.step()


def best_rate(runs: list[dict[str, Any]], task: str, network: str, rates: list[float]) -> float:
    """The rate with the smallest error on the seed for tuning; a fit that diverged is the worst."""
    if len(rates) == 1:
        return rates[0]
    tried = [
        r for r in runs if (r["task"], r["network"], r["seed"]) == (task, tuned_as(network), TUNING_SEED)
    ]
    return min(tried, key=lambda r: r["mse"] if math.isfinite(r["mse"]) else math.inf)["lr"]


def counted(runs: list[dict[str, Any]], task: str, network: str) -> list[float]:
    """Results of the seeds that count."""
    return [
        r["value"] for r in runs if (r["task"], r["network"]) == (task, network) and r["seed"] != TUNING_SEED
    ]


def cell(values: list[float], task: str) -> str:
    """Median and extremes as text; the value alone of one seed."""
    if not values:
        return "–"
    form = (lambda v: f"{100 * v:.1f} %") if task == "random-labels" else (lambda v: f"{v:.1e}")
    if len(values) == 1:
        return form(values[0])
    return f"{form(statistics.median(values))} ({form(min(values))} … {form(max(values))})"


def markdown(runs: list[dict[str, Any]], budget: dict[str, Any]) -> str:
    """One table of bases and one list of the other networks per task."""
    said = ", ".join(f"{key} {value}" for key, value in budget.items())
    said += f"; lrnn takes 1 / {LRNN_PART} of the steps"
    text = f"Median (smallest … largest) over seeds, a value alone is of one seed; {said}.\n"
    for task in dict.fromkeys(r["task"] for r in runs):
        text += f"\n## {task}\n"
        cells = {(p, q): counted(runs, task, f"{p} x {q}") for p in BASES for q in BASES}
        if any(cells.values()):
            text += "\n| p \\ q | " + " | ".join(BASES) + " |\n" + "|---" * (len(BASES) + 1) + "|\n"
            for p in BASES:
                text += f"| `{p}` | " + " | ".join(cell(cells[p, q], task) for q in BASES) + " |\n"
        text += "\n| network | seeds | result |\n|---|---|---|\n"
        for network in networks(budget["points"]):
            if " x " not in network or "," in network:
                values = counted(runs, task, network)
                text += f"| {network} | {len(values)} | {cell(values, task)} |\n" if values else ""
    return text


def store(name: str, budget: dict[str, Any], runs: list[dict[str, Any]]) -> None:
    """Write everything found so far."""
    summary = [
        {
            "task": task,
            "network": network,
            "lr": best_rate(runs, task, network, budget["rates"]),
            **spread(values),
        }
        for task in TASKS
        for network in networks(budget["points"])
        if (values := counted(runs, task, network))
    ]
    save(name, {"budget": budget, "summary": summary, "runs": runs})
    (RESULTS / f"{name}.md").write_text(markdown(runs, budget), encoding="utf-8")


def main(argv: list[str] | None = None) -> None:
    """Tune, run, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=6000)
    parser.add_argument("--points", type=int, default=40, help="M of the midpoint rule")
    parser.add_argument("--seeds", type=int, default=3, help="per network")
    parser.add_argument("--ratio-seeds", type=int, default=10, help="per mesh ratio")
    parser.add_argument("--check-seeds", type=int, default=3, help="per pair with M = 500")
    parser.add_argument("--rates", default="1e-3,3e-3,1e-2", help="learning rates to choose from")
    parser.add_argument("--tasks", default=",".join(TASKS), help="names with commas between them")
    parser.add_argument(
        "--networks", default="", help="only those whose name contains one of these, by semicolons"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes, of one thread each")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--name", default=NAME, help="of the files in results/")
    args = parser.parse_args(argv)
    rates = [float(rate) for rate in args.rates.split(",")]
    budget = {"steps": args.steps, "points": args.points, "rates": rates, "device": args.device}
    wanted = [n for n in networks(args.points) if any(part in n for part in args.networks.split(";"))]
    runs = earlier(args.name, budget)
    with ProcessPoolExecutor(args.jobs) as pool:

        def finish(jobs: list[tuple[str, str, int, float]]) -> None:
            done = {(r["task"], r["network"], r["seed"], r["lr"]) for r in runs}
            for future in as_completed(
                [
                    pool.submit(run, *job, args.steps, args.points, args.device)
                    for job in jobs
                    if job not in done
                ]
            ):
                runs.append(future.result())
                last = runs[-1]
                print(*(last[key] for key in ("task", "network", "seed", "lr", "value")), flush=True)
                store(args.name, budget, runs)

        pairs = [(task, network) for task in args.tasks.split(",") for network in wanted]
        tuned = dict.fromkeys((task, tuned_as(network)) for task, network in pairs)
        if len(rates) > 1:
            finish([(*pair, TUNING_SEED, rate) for pair in tuned for rate in rates])
        # a table of one seed is there early; the dearest networks come last
        phases = [
            ([n for n in wanted if not n.startswith("mesh") and "," not in n], args.seeds),
            ([n for n in wanted if n.startswith("mesh")], args.ratio_seeds),
            ([n for n in wanted if "," in n], args.check_seeds),
        ]
        for names, n_seeds in phases:
            for seed in range(n_seeds):
                chosen = [pair for pair in pairs if pair[1] in names]
                finish([(*pair, seed, best_rate(runs, *pair, rates)) for pair in chosen])


if __name__ == "__main__":
    main()
