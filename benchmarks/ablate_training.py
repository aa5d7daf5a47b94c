"""What makes training need fewer steps: one change of the default at a time, on small pictures.

    python -m benchmarks.ablate_training [--passes 24] [--seeds 3] [--rows "a;b"] [--processes 2]
    python -m benchmarks.ablate_training --table

Four crops of 96 x 96 pixels, colour where the picture has it, three seeds, networks of 28k parameters, 32
steps per pass, as a picture of 256 x 256 pixels gets with 200k, and everything else as `fit-image` has it
(`tasks/tuned.py`) unless the row says otherwise; the first frequency is that of 256 pixels (what its rows
showed, less for smaller ones, became the default after this table). Every run has the same budget
of points, that is of passes over the picture, whatever its batch size. The error over all pixels is
measured twice per pass; the number of passes and of steps to a level is interpolated in dB between
measurements, the last of which is after the output layer is solved at the end, where that is part of the
row. Nothing depends on time, so other work on the machine does no harm. The learning rate was tuned for
none of the rows but the default, by trials on the same pictures of 256 x 256 pixels; rows that need one of
their own come with several. Muon and SOAP go with Adam for all other parameters, at Adam's rate.

One line per run in `results/ablate_training.jsonl`; what is there is not run again. Seeds come in the outer
loop, so that a run cut short leaves whole tables of fewer seeds.

Seconds are passes times those of a pass, plus those up to the first step, as `benchmarks.ablate_costs`
measured them.
"""

import argparse
import json
import math
import multiprocessing
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import RESULTS, machine
from benchmarks.training_variants import (
    GrowingBatch,
    LossAwareBatch,
    MuonAdam,
    RecordingSamples,
    SoapAdam,
    StratifiedBatch,
    rms_frequency,
)
from lrnn_cli.fitting.least_squares import RIDGE, solve_head, start_points, training_loss
from lrnn_cli.fitting.loop import Trainer
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.signals.image import ImageOptions, read_image
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression

SAMPLES = Path(__file__).parent.parent / "sample_data"
LEVELS_DB = (30, 35, 40, 45)
PARAMS = 28_000
SIDE = 96
BATCH = SIDE**2 // 32
MEASURED_PER_PASS = 2
# the crop's left upper corner
IMAGES = {"camera256": (80, 40), "astronaut256": (80, 10), "chelsea256": (80, 60), "camera512": (250, 150)}
DEFAULT_OMEGA = 160.0  # of the first layer, for 256 x 256 pixels: camera256, from which `spectrum` scales it
EQUAL = {"first_scales": "equal"}

# row: training settings (`fit`), options of the network (`model`), and what only this file knows
ROWS: dict[str, dict[str, Any]] = {
    "default": {},
    "least squares start": {"fit": {"lstsq": ("start",)}},
    "least squares end": {"fit": {"lstsq": ("end",)}},
    "least squares never": {"fit": {"lstsq": ()}},
    "least squares start, plateau, end": {"fit": {"lstsq": ("start", "plateau", "end")}},
    "least squares start without its ridge": {"exact_start": True, "fit": {"lstsq": ("end",)}},
    "zero output layer, least squares end": {"fit": {"lstsq": ("end",)}, "zero_head": True},
    "batch x 0.5": {"batch": [BATCH // 2]},
    "batch x 2": {"batch": [BATCH * 2]},
    "batch growing, x 0.5 to 2": {"batch": [BATCH // 2, BATCH, BATCH * 2]},
    "batch growing, x 0.25 to 4": {"batch": [BATCH // 4, BATCH // 2, BATCH, BATCH * 2, BATCH * 4]},
    "stratified batches": {"strata": (4, 8)},
    "loss-aware, a quarter of the batch": {"loss_aware": 0.25},
    "loss-aware, half of the batch": {"loss_aware": 0.5},
    "schedule const": {"fit": {"schedule": "const"}},
    "schedule const, rate x 0.5": {"fit": {"schedule": "const"}, "rate": 0.5},
    "schedule const, rate x 0.5, least squares on plateaus": {
        "fit": {"schedule": "const", "lstsq": ("start", "plateau", "end")},
        "rate": 0.5,
    },
    "schedule inverse:0.02": {"fit": {"schedule": "inverse:0.02"}},
    "schedule inverse:0.02, rate x 1.5": {"fit": {"schedule": "inverse:0.02"}, "rate": 1.5},
    "schedule cos:0.02": {"fit": {"schedule": "cos:0.02"}},
    "schedule cos:0.02, rate x 0.5": {"fit": {"schedule": "cos:0.02"}, "rate": 0.5},
    "schedule linear:0.02": {"fit": {"schedule": "linear:0.02"}},
    "rate x 0.5": {"rate": 0.5},
    "rate x 2": {"rate": 2.0},
    "Adam": {"fit": {"optimizer": "adam"}},
    "Adam, rate x 0.5": {"fit": {"optimizer": "adam"}, "rate": 0.5},
    "Adam, rate x 2": {"fit": {"optimizer": "adam"}, "rate": 2.0},
    "beta2 0.99": {"fit": {"beta2": 0.99}},
    "Muon on projections, rate x 1": {"fit": {"optimizer": "adam"}, "muon": 1.0},
    "Muon on projections, rate x 3": {"fit": {"optimizer": "adam"}, "muon": 3.0},
    "SOAP on projections": {"fit": {"optimizer": "adam"}, "soap": {}},
    "SOAP on projections, rate x 2": {"fit": {"optimizer": "adam"}, "soap": {"factor": 2.0}},
    "omega_first from the spectrum": {"spectrum": True},
    "omega_first 110": {"model": {"omega_first": 110.0}},
    "omega_first 60, by the size": {"model": {"omega_first": DEFAULT_OMEGA * SIDE / 256}},
    "omega_first 98, by the root of the size": {
        "model": {"omega_first": DEFAULT_OMEGA * (SIDE / 256) ** 0.5}
    },
    "equal scales": {"model": EQUAL},
    "equal scales, omega_first 110": {"model": {**EQUAL, "omega_first": 110.0}},
    "hidden_rate 1": {"model": {"hidden_rate": 1.0}},
    "hidden_rate 0.25": {"model": {"hidden_rate": 0.25}},
    "omega_first 220": {"model": {"omega_first": 220.0}},
    "omega_hidden 7": {"model": {"omega_hidden": 7.0}},
    "omega_hidden 14": {"model": {"omega_hidden": 14.0}},
    "omega_hidden 30": {"model": {"omega_hidden": 30.0}},
    "dbar 1": {"model": {"dbar": 1}},
    "dbar 3": {"model": {"dbar": 3}},
    "dbar 4": {"model": {"dbar": 4}},
    "depth 2": {"model": {"depth": 2}},
    "depth 4": {"model": {"depth": 4}},
    "sigma sin": {"model": {"sigma": "sin"}},
}


def picture(name: str) -> Signal:
    """Return the crop of a sample picture."""
    x, y = IMAGES[name]
    return read_image(SAMPLES / f"{name}.png", ImageOptions(crop=(x, y, x + SIDE, y + SIDE)))


def spectral_omega(signal: Signal) -> float:
    """Return the first layer's frequency scale, in proportion to the rms frequency of the picture."""
    whole = torch.from_numpy(read_image(SAMPLES / "camera256.png").values)
    return DEFAULT_OMEGA * rms_frequency(torch.from_numpy(signal.values)) / rms_frequency(whole)


class Ablated(Trainer):
    """The trainer, its budget counted in points seen, whatever the size of the batches."""

    budget_points: float
    seen = 0

    def progress(self) -> float:
        """Return the part of the budget used."""
        return self.seen / self.budget_points

    def _step(self, progress: float) -> float:
        rate = super()._step(progress)
        self.seen += self.sampler.batch_points
        return rate


def trainer_for(
    row: dict[str, Any], signal: Signal, *, passes: float, seed: int
) -> tuple[Ablated, dict[str, Any]]:
    """Return a trainer of this row, and what was decided."""
    sizes = row.get("batch", [BATCH])
    options = {"omega_first": DEFAULT_OMEGA, **row.get("model", {})}
    if row.get("spectrum"):
        options["omega_first"] = spectral_omega(signal)
    task = ImageTask(signal)
    fit = FitSettings(steps=10**9, threads=1, device="cpu", seed=seed, **row.get("fit", {}))
    plan = task.plan(ModelChoice(options=options, params=PARAMS), fit)
    fit = fit.model_copy(update={"optimizer": plan.optimizer})
    base = Regression(signal, task.transform(), plan, fit)
    samples: Any = base.trainer.samples
    if "loss_aware" in row:
        samples.__class__ = RecordingSamples
        samples.watch(1.0)
    trainer = Ablated(
        base.model,
        samples,
        fit,
        base.runner,
        lr=plan.lr * row.get("rate", 1.0),
        lstsq=plan.lstsq,
        start_ridge=plan.start_ridge,
        batch_points=sizes[0],
        fresh=base._build,
    )
    trainer.budget_points = passes * samples.n_points
    if len(sizes) > 1:
        trainer.sampler = GrowingBatch(samples.n_points, sizes, passes, seed)
    if "loss_aware" in row:
        trainer.sampler = LossAwareBatch(samples, BATCH, row["loss_aware"], seed)
    if "strata" in row:
        trainer.sampler = StratifiedBatch(signal.resolution, row["strata"], seed)
    if "muon" in row:
        trainer.optimizer = MuonAdam(base.model, trainer.lr, factor=row["muon"])
    if "soap" in row:
        trainer.optimizer = SoapAdam(base.model, trainer.lr, **row["soap"])
    if row.get("zero_head"):
        with torch.no_grad():
            base.model.head.weight.zero_()
            base.model.head.bias.zero_()
    if row.get("exact_start"):
        points = start_points(base.model, samples, seed)
        solve_head(base.model, samples, base.runner, points, ridge=RIDGE)
    about = {
        "params": plan.n_params,
        "engine": plan.engine.name,
        "optimizer": plan.optimizer,
        "lr": trainer.lr,
        "batch_points": sizes,
        "omega_first": getattr(plan.config, "omega_first", None),
    }
    return trainer, about


def measure(row: dict[str, Any], signal: Signal, *, passes: float, seed: int) -> dict[str, Any]:
    """Fit once; return the curve of PSNR over passes and steps, and where it meets the levels."""
    trainer, about = trainer_for(row, signal, passes=passes, seed=seed)
    samples, n = trainer.samples, trainer.samples.n_points
    curve: list[tuple[float, int, float]] = []  # passes, steps, dB
    due = 0.0
    for _ in trainer.run():
        if MEASURED_PER_PASS * trainer.seen >= due * n:
            loss = training_loss(trainer.model, samples, trainer.runner)
            curve.append((trainer.seen / n, trainer.step, samples.psnr_db(loss)))
            due = math.floor(MEASURED_PER_PASS * trainer.seen / n) + 1
    final = samples.psnr_db(trainer.final_loss)
    curve.append((trainer.seen / n, trainer.step, final))
    trainer.runner.close()
    return {
        **about,
        "psnr_db": final,
        "steps": trainer.step,
        "rollbacks": trainer.counts.rollbacks,
        "fresh_starts": trainer.counts.fresh_starts,
        "reached": {str(level): crossing(curve, level) for level in LEVELS_DB},
        "curve": [(round(p, 3), s, round(d, 3)) for p, s, d in curve],
    }


def measure_key(key: dict[str, Any]) -> dict[str, Any]:
    """Fit once, as named by row, image, seed and passes."""
    return measure(ROWS[key["row"]], picture(key["image"]), passes=key["passes"], seed=key["seed"])


def crossing(curve: list[tuple[float, int, float]], level: float) -> dict[str, float] | None:
    """Return passes and steps at which a curve first meets a level, linear in dB between its points."""
    if curve[0][2] >= level:
        return {"passes": round(curve[0][0], 3), "steps": curve[0][1]}
    for (p0, s0, d0), (p1, s1, d1) in pairwise(curve):
        if d0 < level <= d1:
            t = (level - d0) / (d1 - d0)
            return {"passes": round(p0 + t * (p1 - p0), 3), "steps": round(s0 + t * (s1 - s0), 1)}
    return None


def table(runs: list[dict[str, Any]], costs: dict[str, dict[str, float]]) -> str:
    """Return the table of docs/performance.md, rows in the order of `ROWS`.

    Seconds to a level are medians over the runs that reached it, with their number where some did not; ratios
    are geometric means over the pairs of runs, of the row and of the default on the same picture from the
    same seed, that both reached it.
    """

    def seconds(run: dict[str, Any], level: str) -> float | None:
        reached, each = run["reached"][level], costs[run["row"]]
        return each["start_s"] + reached["passes"] * each["pass_s"] if reached else None

    base = {(r["image"], r["seed"]): r for r in runs if r["row"] == "default"}
    head = " | ".join(f"{level} dB" for level in LEVELS_DB)
    lines = [
        f"| row | runs | cost of a pass | seconds to {head} | final dB against the default | went back |",
        "|---|--:|" + "--:|" * (len(LEVELS_DB) + 3),
    ]
    for name in ROWS:
        mine = [r for r in runs if r["row"] == name]
        if not mine:
            continue
        cells = [f"× {costs[name]['pass_s'] / costs['default']['pass_s']:.2f}"]
        if name == "default":
            cells = [f"{costs[name]['pass_s'] * 1e3:.0f} ms"]
        for level in map(str, LEVELS_DB):
            met = [t for r in mine if (t := seconds(r, level))]
            both = [
                math.log(one / other)
                for r in mine
                if (key := (r["image"], r["seed"])) in base
                and (one := seconds(r, level))
                and (other := seconds(base[key], level))
            ]
            cell = f"{statistics.median(met):.2f}" if met else "–"
            cell += f" ({len(met)} of {len(mine)})" if 0 < len(met) < len(mine) else ""
            if both and name != "default":
                cell += f", × {math.exp(statistics.fmean(both)):.2f}"
            cells.append(cell)
        pairs = [(r, base.get((r["image"], r["seed"]))) for r in mine]
        gains = [r["psnr_db"] - b["psnr_db"] for r, b in pairs if b is not None]
        gain = f"{statistics.fmean(gains):+.2f} ({min(gains):+.2f} to {max(gains):+.2f})" if gains else "–"
        if name == "default":
            gain = f"{statistics.fmean(r['psnr_db'] for r in mine):.2f} dB"
        returns = sum(r["rollbacks"] + r["fresh_starts"] for r in mine)
        lines.append(f"| {name} | {len(mine)} | {' | '.join(cells)} | {gain} | {returns} |")
    return "\n".join(lines) + "\n"


def read(path: Path) -> list[dict[str, Any]]:
    """Return the runs stored so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def main() -> None:
    """Run what is missing, or print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passes", type=int, default=24)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rows", default=";".join(ROWS), help="names, separated by ;")
    parser.add_argument("--images", default=",".join(IMAGES))
    parser.add_argument("--processes", type=int, default=1, help="of one thread each")
    parser.add_argument("--out", type=Path, default=RESULTS / "ablate_training.jsonl")
    parser.add_argument("--table", action="store_true", help="print the table of the stored runs")
    args = parser.parse_args()
    runs = read(args.out)
    if args.table:
        measured = json.loads((RESULTS / "ablate_training_cost.json").read_text())["rows"]
        sys.stdout.write(table(runs, measured))
        return
    done = {(r["row"], r["image"], r["seed"], r["passes"]) for r in runs}
    rows = args.rows.split(";")
    if unknown := [name for name in rows if name not in ROWS]:
        parser.error(f"unknown rows: {'; '.join(unknown)}")
    here = {key: value for key, value in machine().items() if key != "taken_utc"}
    keys = [
        {"row": name, "image": image, "seed": seed, "passes": args.passes}
        for seed, name, image in product(range(args.seeds), rows, args.images.split(","))
        if (name, image, seed, args.passes) not in done
    ]
    torch.set_num_threads(1)
    with ExitStack() as stack:
        results: Iterator[dict[str, Any]] = map(measure_key, keys)
        if args.processes > 1:
            context = multiprocessing.get_context("spawn")
            pool = ProcessPoolExecutor(args.processes, context, torch.set_num_threads, (1,))
            results = stack.enter_context(pool).map(measure_key, keys)
        for key, run in zip(keys, results, strict=True):
            with args.out.open("a") as file:
                file.write(json.dumps({**key, **run, "machine": here}) + "\n")
            print({**key, "psnr_db": run["psnr_db"], "reached": run["reached"]}, flush=True)


if __name__ == "__main__":
    main()
