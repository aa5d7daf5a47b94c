"""Networks on sparse-view CT at equal parameters, steps, start, prior and tuning: the paper's table redone.

    python -m benchmarks.ct                            tune, then score on the drawn chest, then the table
    python -m benchmarks.ct --slices chest,head --settings 20,100-noise --seeds 3 --steps 400 --size 128
    python -m benchmarks.ct --table                    only write the table from what is stored

Slices: `chest`, the drawn one of seed 0, and `head`, a real slice of 512 x 512 that pydicom ships. Truth:
block means of a slice of twice the size (or more); projections: exact strips of that finer slice;
reconstruction: Joseph; angles half-open.

Tuning: every model gets the same trials (`TRIALS`: factors on its own learning rate and on its own first
frequency) on another slice, a chest of another seed, at `--tune-setting`; the trial of best PSNR there is
used for all scored runs. That PSNR needs a truth, but not that of a scored slice.

The budget is in steps, so that results do not depend on how busy the machine is. All networks of a slice,
setting and seed share scan, noise, classical start and strength of the prior. One JSON line a run, with its
setting; a run that is there already is not done again, so that an interrupted benchmark goes on.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from benchmarks.machine import RESULTS, machine
from lrnn_cli.models.catalog import config_class
from lrnn_cli.numerics import chest_phantom
from lrnn_cli.signals.slices import Slice, read_slice
from lrnn_cli.tasks.ct_settings import CLASSICAL, CtSettings
from lrnn_cli.tasks.reconstruct_ct import CtTask, Done

MODELS = ("lrnn", "wire", "siren", "gauss", "relu-pe")
FREQUENCY = {
    "lrnn": "omega_first",
    "wire": "omega_first",
    "siren": "omega_first",
    "gauss": "scale",
    "relu-pe": "octaves",
}
# factors on the learning rate and on the first frequency, both the model's own defaults
TRIALS = ((1.0, 1.0), (3.0, 1.0), (10.0, 1.0), (3.0, 0.5))
SETTINGS: dict[str, dict[str, Any]] = {
    "20": {"views": 20},
    "50": {"views": 50},
    "100": {"views": 100},
    "100-noise": {"views": 100, "noise": "readout", "tau": 30.0, "readout": 2.0},
}
TITLES = {
    "20": "20 views",
    "50": "50 views",
    "100": "100 views",
    "100-noise": "100 views, readout noise (tau 30, 2)",
}
HEAD = "J2K_pixelrep_mismatch.dcm"


def slice_of(name: str, size: int) -> Slice:
    """The slice of a name, of a multiple of `size` pixels per side."""
    if name == "head":
        from pydicom.data import get_testdata_file

        return read_slice(str(get_testdata_file(HEAD)))
    values = chest_phantom.chest(2 * size, {"chest": 0, "chest-tuning": 1}[name])
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/{name}.npy", values)
        return read_slice(f"{folder}/{name}.npy")


def options_of(model: str, trial: tuple[float, float], size: int) -> tuple[float, dict[str, Any]]:
    """Learning rate and first frequency of a trial."""
    config, key = config_class(model), FREQUENCY[model]
    default = getattr(config().for_signal((size, size)), key)
    value = default + round(math.log2(trial[1])) if key == "octaves" else default * trial[1]
    return float(f"{config.default_lr * trial[0]:.2g}"), {key: value}


class Bench:
    """Runs of one benchmark, stored line by line."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.path = args, RESULTS / f"{args.name}.jsonl"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        self.runs: list[dict[str, Any]] = [json.loads(line) for line in lines]
        self.shared: tuple[tuple[str, str, int, str], Done] | None = None

    def find(self, wanted: dict[str, Any]) -> dict[str, Any] | None:
        """Return the stored run of exactly these settings."""
        return next((run for run in self.runs if wanted.items() <= run.items()), None)

    def key(self, stage: str, name: str, setting: str, seed: int, method: str) -> dict[str, Any]:
        """What tells a run from others, but for the options of a network."""
        a = self.args
        return {
            "stage": stage, "slice": name, "setting": setting, "seed": seed, "method": method,
            "size": a.size, "prior": a.prior,
        }  # fmt: skip

    def run(
        self, stage: str, name: str, setting: str, seed: int, model: str, trial: tuple[float, float]
    ) -> None:
        """Do one run unless it is there; the classical methods beside it where they are not."""
        a = self.args
        steps = a.tune_steps if stage == "tune" else a.steps
        lr, options = options_of(model, trial, a.size)
        key = self.key(stage, name, setting, seed, model)
        key |= {
            "params_asked": a.params,
            "steps": steps,
            "lr": lr,
            "options": options,
            "batch_points": a.batch_points,
        }
        if self.find(key):
            return
        classical = ("tv",) if stage == "tune" else CLASSICAL
        task = CtTask(
            slice_of(name, a.size),
            CtSettings.model_validate(
                {
                    "scan": {**SETTINGS[setting], "size": a.size},
                    "method": {"methods": (model, *classical), "prior": a.prior},
                    "model": {"params": a.params, "options": options},
                    "fit": {
                        "steps": steps,
                        "lr": lr,
                        "seed": seed,
                        "threads": a.threads,
                        "batch_points": a.batch_points,
                    },
                }
            ),
        )
        same = (name, setting, seed, stage)
        if self.shared is not None and self.shared[0] == same:
            shared = self.shared[1]
            task.done = Done(dict(shared.images), dict(shared.seconds), dict(shared.about), {}, shared.start)
        began, cpu = time.perf_counter(), time.process_time()
        for _ in task.steps(lambda: False):
            pass
        spent = {
            "wall_s": round(time.perf_counter() - began, 1),
            "cpu_s": round(time.process_time() - cpu, 1),
        }
        found = task.reconstructions(task.networks())
        done = task.done
        self.shared = (same, Done(done.images, done.seconds, done.about, {}, done.start))
        for method, one in found.items():
            record = key if method == model else self.key(stage, name, setting, seed, method)
            if method != model and self.find(record):
                continue
            measures = {k: v for k, v in one.metrics.items() if k != "seconds"}
            more = {"trial": list(trial), "params": one.about["params"], **spent} if method == model else {}
            self.store({**record, **more, **measures, "scan": task.scan.setting, "about": one.about})

    def store(self, record: dict[str, Any]) -> None:
        """Add a run to the file."""
        full = json.loads(json.dumps({**record, "machine": machine()}))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(full) + "\n")
        self.runs.append(full)
        told = [full.get(k) for k in ("stage", "slice", "setting", "seed", "method", "trial", "wall_s")]
        print(*told, f"{full['psnr_db']:.2f} dB", f"{full['ssim']:.4f}", flush=True)

    def tuned(self, model: str) -> list[dict[str, Any]]:
        """Return the stored trials of a model, best first."""
        a = self.args
        key = {**self.key("tune", "chest-tuning", a.tune_setting, 0, model), "steps": a.tune_steps}
        key |= {"batch_points": a.batch_points, "params_asked": a.params}
        mine = [run for run in self.runs if key.items() <= run.items()]
        return sorted(mine, key=lambda run: -run["psnr_db"])

    def jobs(self) -> Iterator[tuple[str, str, str, int, str, tuple[float, float]]]:
        """All runs, the tuning first; a scored one takes the best trial."""
        a = self.args
        for trial in TRIALS[: a.trials]:
            for model in a.models.split(","):
                yield "tune", "chest-tuning", a.tune_setting, 0, model, trial
        for name in a.slices.split(","):
            for seed in range(a.seeds):
                for setting in a.settings.split(","):
                    for model in a.models.split(","):
                        best = self.tuned(model)[0]["trial"]
                        yield "score", name, setting, seed, model, (best[0], best[1])

    def table(self) -> str:
        """Return the table of the scored runs as Markdown, mean over the seeds ± half their spread."""
        a = self.args
        scored = [run for run in self.runs if run["stage"] == "score" and run["size"] == a.size]
        same = {"prior": a.prior, "steps": a.steps, "batch_points": a.batch_points, "params_asked": a.params}
        scored = [run for run in scored if all(run.get(name, value) == value for name, value in same.items())]
        columns = list(dict.fromkeys((run["slice"], run["setting"]) for run in scored))
        titles = [f"{name}, {TITLES[setting]}" for name, setting in columns]
        lines = ["| method | parameters | " + " | ".join(titles) + " |", "|---|--:|" + "--:|" * len(columns)]
        if not columns:
            lines = ["No run is scored yet."]
        for method in (*a.models.split(","), *CLASSICAL) if columns else ():
            mine = [run for run in scored if run["method"] == method]
            sizes = sorted({run["params"] for run in mine if "params" in run})
            cells = [cell([r for r in mine if (r["slice"], r["setting"]) == column]) for column in columns]
            size = " / ".join(f"{n:,}" for n in sizes) or "–"
            lines.append(f"| {method} | {size} | " + " | ".join(cells) + " |")
        lines += ["", "| model | trials: factor on rate, on frequency → dB, best first |", "|---|---|"]
        for model in a.models.split(","):
            told = [
                f"{r['trial'][0]:.2g}, {r['trial'][1]:.2g} → {r['psnr_db']:.2f}" for r in self.tuned(model)
            ]
            lines.append(f"| {model} | " + "; ".join(told) + " |")
        return "\n".join(lines) + "\n"


def cell(runs: list[dict[str, Any]]) -> str:
    """PSNR / SSIM: mean, and from least to most of the PSNR, with the number of seeds."""
    if not runs:
        return "–"
    psnr, ssim = [run["psnr_db"] for run in runs], [run["ssim"] for run in runs]
    spread = f" ({min(psnr):.2f} … {max(psnr):.2f}, {len(runs)} seeds)" if len(runs) > 1 else " (1 seed)"
    return f"{statistics.mean(psnr):.2f} / {statistics.mean(ssim):.3f}{spread}"


def main() -> None:
    """Do what is missing of a benchmark, and write its table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--name", default="ct_models", help="of the files in benchmarks/results")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--slices", default="chest", help="of chest, head")
    parser.add_argument("--settings", default="20,100-noise", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--params", type=int, default=180_000)
    parser.add_argument("--prior", default="tv+nlm")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch-points", type=int, default=512)
    parser.add_argument(
        "--tune-steps", type=int, default=None, help="of a trial; half of --steps if left out"
    )
    parser.add_argument("--tune-setting", default="20")
    parser.add_argument("--trials", type=int, default=len(TRIALS), help=f"the first of {len(TRIALS)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--until", default=None, help="HH:MM, after which no run is begun")
    parser.add_argument("--table", action="store_true", help="only write the table")
    args = parser.parse_args()
    args.tune_steps = args.tune_steps or max(1, args.steps // 2)
    bench = Bench(args)
    if not args.table:
        for job in bench.jobs():
            if args.until is not None and time.strftime("%H:%M") >= args.until:
                break
            bench.run(*job)
            bench.path.with_suffix(".md").write_text(bench.table(), encoding="utf-8")
    bench.path.with_suffix(".md").write_text(bench.table(), encoding="utf-8")
    print(bench.table())


if __name__ == "__main__":
    main()
