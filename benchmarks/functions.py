"""Small functions: targets × models × seeds at equal parameters and steps, by the real command.

    python -m benchmarks.functions [--targets sharp-ring,anova] [--models lrnn,siren] [--seeds 3]
        [--params 2k] [--steps 500] [--threads 1] [--name functions]

Every run is `lrnn fit-function --target T --model M --params P --steps N --seed S`, with the default learning
rate of each model; none is tuned to a target. `anova` stands for one run per dimension 2, 4, 8, 16: how
the error grows with d. Stored are the metrics of every run, and the median, least and greatest of the seeds;
a table in Markdown is written beside.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, save, spread

TARGETS = "high-frequency,random-labels,sharp-ring,cusp,anova"  # and those of lrnn fit-function --help
MODELS = "lrnn,siren,mlp-tanh,mlp-relu,multiplicative,iat-relu"
DIMENSIONS = (2, 4, 8, 16)
KEPT = (
    "mse max_error rel_l2 accuracy mse_heldout zygmund zygmund_heldout zygmund_order energy_near "
    "energy_elsewhere energy_near_share near_share"
).split()


def problems(targets: list[str]) -> dict[str, list[str]]:
    """Return name → options of every problem, `anova` taken apart by dimension."""
    found: dict[str, list[str]] = {}
    for target in targets:
        if target == "anova":
            found |= {f"anova d={d}": ["--target", "anova", "--dim", str(d)] for d in DIMENSIONS}
        else:
            found[target] = ["--target", target]
    return found


def run(options: list[str]) -> dict[str, Any]:
    """Run the command and return its figures; a fit that diverged has them, too."""
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lrnn_cli", "fit-function", *options, "-o", f"{folder}/run"]
        done = subprocess.run([*command, "--json", "-qq"], capture_output=True, text=True)
    if not done.stdout:
        raise SystemExit(f"{' '.join(options)}: {done.stderr}")
    record = json.loads(done.stdout)
    return {
        **{name: record["metrics"][name] for name in KEPT},
        "params": record["model"]["params"],
        "steps": record["train"]["steps"],
        "status": record["status"],
        "train_s": record["time"]["train_s"],
        "wall_s": round(time.perf_counter() - began, 2),
    }


def of_seeds(runs: list[dict[str, Any]]) -> dict[str, dict[str, float] | None]:
    """Return the spread of every measure over the seeds; None where it has no value."""
    values = {name: [r[name] for r in runs if r[name] is not None] for name in KEPT}
    return {name: spread(found) if len(found) == len(runs) else None for name, found in values.items()}


def cell(entry: dict[str, Any], name: str) -> str:
    """Return `median (least … greatest)` of a measure."""
    found = entry["spread"][name]
    if found is None or not all(map(math.isfinite, found.values())):
        return "–"
    return f"{found['median']:.2e} ({found['min']:.1e} … {found['max']:.1e})"


def markdown(rows: dict[str, dict[str, Any]], settings: dict[str, Any]) -> str:
    """Return one table per measure, problems down and models across."""
    models = list(next(iter(rows.values())))
    parts = [
        "# Small functions\n",
        f"{settings['params']} parameters, {settings['steps']} steps, {settings['seeds']} seeds, default "
        "learning rates: median (least … greatest). Written by `python -m benchmarks.functions`.",
    ]
    titles = {
        "mse": "mean squared error at the samples",
        "mse_heldout": "mean squared error beside the samples",
        "accuracy": "accuracy of labels",
        "zygmund": "Zygmund seminorm of the residual, at the order of the target",
        "energy_near_share": "part of the residual's energy near the irregular set",
    }
    for name, title in titles.items():
        shown = [problem for problem, row in rows.items() if any(e["spread"][name] for e in row.values())]
        if not shown:
            continue
        parts += ["", f"## {title[0].upper()}{title[1:]}\n"]
        parts += ["| target | " + " | ".join(models) + " |", "|---" * (len(models) + 1) + "|"]
        parts += [f"| {p} | " + " | ".join(cell(rows[p][m], name) for m in models) + " |" for p in shown]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Run everything and store the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--targets", default=TARGETS)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--params", default="2k")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--name", default="functions")
    args = parser.parse_args()
    common = ["--params", args.params, "--steps", str(args.steps), "--threads", str(args.threads)]
    rows: dict[str, dict[str, Any]] = {}
    for problem, options in problems(args.targets.split(",")).items():
        rows[problem] = {}
        for model in args.models.split(","):
            chosen = [*options, "--model", model, *common]
            runs = [run([*chosen, "--seed", str(seed)]) for seed in range(args.seeds)]
            rows[problem][model] = {"options": chosen, "runs": runs, "spread": of_seeds(runs)}
            print(problem, model, cell(rows[problem][model], "mse"), f"{runs[-1]['wall_s']} s", flush=True)
        record = {"settings": vars(args), "rows": rows}
        print(save(args.name, record))  # after every problem, so that a long table can be stopped
        Path(RESULTS / f"{args.name}.md").write_text(markdown(rows, vars(args)), encoding="utf-8")


if __name__ == "__main__":
    main()
