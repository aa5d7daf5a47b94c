"""Small functions: place and regularity of the error as networks grow, growth of the error with dimension.

    python -m benchmarks.functions [--targets sharp-ring,cusp] [--models lrnn,mlp-tanh] [--seeds 3]
        [--params 500,2k,8k] [--dims 2,4,8,16,32,64] [--anova-params 2k] [--steps 500] [--name functions]

Every run is `lrnn fit-function --target T --model M --params P --steps N --seed S` in a process of its
own, in which the preview is left out, because drawing it takes longer than a short fit. All models get the
same batches, steps and seeds, and no guard against bad starts: it takes a slow start for a dead one. The
learning rate is the model's default times one of `--factors`, the one with the least error at the samples
on a seed that is not counted, for each model and target, at the middle size. `anova` stands for one run
per dimension.

Results go to results/NAME.json after every run, with tables in NAME.md; an interrupted benchmark goes on
there.
"""

import argparse
import contextlib
import importlib
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, earlier, save, spread
from lrnn_cli.cli.app import main as lrnn
from lrnn_cli.models.catalog import config_class

TARGETS = "sharp-ring,cusp,cusp-log"
MODELS = "lrnn,multiplicative,mlp-tanh,mlp-relu"
TUNING_SEED = 1000
KEPT = (
    "mse max_error rel_l2 mse_heldout rel_l2_heldout zygmund zygmund_heldout zygmund_order energy_near "
    "energy_elsewhere energy_near_share near_share"
).split()
TITLES = {
    "mse": "mean squared error at the samples",
    "mse_heldout": "mean squared error beside the samples",
    "zygmund_heldout": "Zygmund seminorm of the residual, at the order of the target, on the finer mesh",
    "energy_near_share": "part of the residual's energy near the irregular set",
}


def fit(arguments: list[str]) -> dict[str, Any]:
    """Run `lrnn fit-function` in a forked process, without its picture; return what `--json` prints.

    Raises:
        SystemExit: when the command prints nothing.
    """
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as out:
        argv = ["fit-function", *arguments, "--no-guard", "-o", f"{folder}/run", "--json", "-qq"]
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                os.dup2(out.fileno(), 1)
                sys.stdout = os.fdopen(1, "w", closefd=False)
                task = importlib.import_module("lrnn_cli.tasks.fit_function")
                vars(task)["draw_function"] = lambda view, **more: b""
                code = lrnn(argv)
            finally:
                os._exit(code)
        os.waitpid(pid, 0)
        out.seek(0)
        text = out.read()
    if not text:
        raise SystemExit(f"lrnn {' '.join(argv)}: no result")
    return json.loads(text)


def warm_up() -> None:
    """Fit once in this process, so that no forked one has to import what a fit imports."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        lrnn(
            ["fit-function", "x", "-p", "100", "--steps", "2", "--threads", "1", "-o", f"{folder}/run", "-qq"]
        )


def run(job: dict[str, Any], common: list[str]) -> dict[str, Any]:
    """Train one network; a fit that diverged has figures, too."""
    target, _, dim = job["problem"].partition(" d=")
    rate = config_class(job["model"]).default_lr * job["factor"]
    options = ["--target", target, *(["--dim", dim] if dim else []), "--model", job["model"]]
    options += ["--params", job["asked"], "--lr", f"{rate:g}", "--seed", str(job["seed"]), *common]
    record = fit(options)
    figures = {name: record["metrics"][name] for name in KEPT}
    return {**job, **figures, "params": record["model"]["params"], "options": options}


def best_factor(runs: list[dict[str, Any]], job: dict[str, Any]) -> float:
    """Return the factor with the least error on the seed for tuning."""
    tried = [r for r in runs if (r["problem"], r["model"], r["seed"]) == (*_pair(job), TUNING_SEED)]
    return min(tried, key=lambda r: r["mse"] if r["mse"] is not None else math.inf)["factor"]


def _pair(job: dict[str, Any]) -> tuple[str, str]:
    return job["problem"], job["model"]


def jobs(args: argparse.Namespace) -> Iterator[tuple[str, list[str], str]]:
    """Yield problem, sizes and the size for tuning of everything that is asked for."""
    sizes = args.params.split(",")
    for target in filter(None, args.targets.split(",")):
        yield target, sizes, sizes[len(sizes) // 2]
    for d in filter(None, args.dims.split(",")):
        yield f"anova d={d}", [args.anova_params], args.anova_params


def cell(runs: list[dict[str, Any]], name: str) -> str:
    """Return `median (least … greatest)` of a measure, or the value of the only seed."""
    found = [r[name] for r in runs]
    if not found or any(v is None or not math.isfinite(v) for v in found):
        return "–"
    if len(found) == 1:
        return f"{found[0]:.2e}"
    s = spread(found)
    return f"{s['median']:.2e} ({s['min']:.1e} … {s['max']:.1e})"


def markdown(runs: list[dict[str, Any]], settings: dict[str, Any]) -> str:
    """Return one table per measure, problems and sizes down, models across."""
    counted = [r for r in runs if r["seed"] != TUNING_SEED]
    models = list(dict.fromkeys(r["model"] for r in counted))
    rows = dict.fromkeys((r["problem"], r["asked"]) for r in counted)
    said = ", ".join(f"{key} {value}" for key, value in settings.items())
    text = f"Median (least … greatest) over seeds, a value alone is of one seed; {said}.\n"
    for name, title in TITLES.items():
        shown = [row for row in rows if any(r[name] is not None for r in counted if row == _row(r))]
        if not shown:
            continue
        text += (
            f"\n## {title[0].upper()}{title[1:]}\n\n| target | parameters | " + " | ".join(models) + " |\n"
        )
        text += "|---" * (len(models) + 2) + "|\n"
        for row in shown:
            mine = [[r for r in counted if (_row(r), r["model"]) == (row, m)] for m in models]
            text += f"| {row[0]} | {row[1]} | " + " | ".join(cell(found, name) for found in mine) + " |\n"
    return text


def _row(entry: dict[str, Any]) -> tuple[str, str]:
    return entry["problem"], entry["asked"]


def main(argv: list[str] | None = None) -> None:
    """Tune, run, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--targets", default=TARGETS)
    parser.add_argument("--models", default=MODELS)
    parser.add_argument("--params", default="500,2k,8k")
    parser.add_argument("--dims", default="2,4,8,16,32,64", help="of anova")
    parser.add_argument("--anova-params", default="2k")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--factors", default="0.3,1,3", help="of the default learning rates")
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--batch", type=int, default=256, help="points per step")
    parser.add_argument("--name", default="functions")
    args = parser.parse_args(argv)
    factors = [float(f) for f in args.factors.split(",")]
    settings = {"steps": args.steps, "batch_points": args.batch, "factors": factors}
    common = ["--steps", str(args.steps), "--batch-points", str(args.batch), "--threads", "1"]
    runs = earlier(args.name, settings)
    warm_up()

    def finish(job: dict[str, Any]) -> None:
        if any(job.items() <= r.items() for r in runs):
            return
        runs.append(run(job, common))
        print(*job.values(), f"{runs[-1]['mse']:.3g}", flush=True)
        save(args.name, {"budget": settings, "runs": runs})
        (Path(RESULTS) / f"{args.name}.md").write_text(markdown(runs, settings), encoding="utf-8")

    for problem, sizes, middle in jobs(args):
        for model in args.models.split(","):
            job = {"problem": problem, "model": model}
            for factor in factors if len(factors) > 1 else []:
                finish({**job, "asked": middle, "seed": TUNING_SEED, "factor": factor})
            factor = best_factor(runs, job) if len(factors) > 1 else factors[0]
            for asked in sizes:
                for seed in range(args.seeds):
                    finish({**job, "asked": asked, "seed": seed, "factor": factor})


if __name__ == "__main__":
    main()
