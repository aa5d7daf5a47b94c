"""Search behind the defaults of LRNN for images: random settings, then refinement of the best; equal passes.

    python -m benchmarks.search_image [--trials 12] [--refine 8] [--passes 10] [--size 256] [--params 200000]

The pictures come with scikit-image and are none of the sample data, so that the figures shown on the sample
data are not those that were searched. Every trial fits all of them, centre squares scaled to one size, with
the same number of passes over the pixels; the score is the mean final PSNR. The first trial is the present
default, the second the default with a plain start. Refinement redraws one to three settings of the best
trial so far. A trial far below the best after the first image is not continued. SIREN gets the same number
of trials of both kinds, over its own options, from the same seed.
"""

import argparse
import random
import time
from importlib.resources import files
from typing import Any

import torch

from benchmarks.machine import save
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.signals.image import ImageOptions, read_image
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression, make_plan

IMAGES = ("coffee.png", "motorcycle_left.png")
HOPELESS_DB = 3.0  # below the best first image


def centre_square(w: int, h: int) -> tuple[int, int, int, int]:
    """Return the largest square in the middle of w x h pixels, as x0, y0, x1, y1."""
    side = min(w, h)
    x, y = (w - side) // 2, (h - side) // 2
    return x, y, x + side, y + side


def pictures(size: int) -> list[Signal]:
    """Return the centre squares of the pictures, scaled to a side of `size` pixels."""
    folder = files("skimage.data")
    signals = []
    for name in IMAGES:
        content = folder.joinpath(name).read_bytes()
        whole = read_image(name, ImageOptions(), data=content)
        h, w = whole.values.shape[:2]
        options = ImageOptions(crop=centre_square(w, h), resize=(size, size))
        signals.append(read_image(name, options, data=content))
    return signals


def choices(model: str) -> dict[str, dict[str, list[Any]]]:
    """Return the values that a search draws from, for the training and for the model."""
    fit: dict[str, list[Any]] = {
        "lr": [5e-4, 1e-3, 2e-3, 3e-3, 4e-3],
        "schedule": ["inverse:0.1", "inverse:0.05", "inverse:0.02", "exp:0.05", "linear:0.05", "cos:0.02"],
        "steps_per_pass": [16, 32, 64],
        "lstsq": [[], ["start", "end"], ["start", "end"]],
        "warmup_steps": [10, 30],
    }
    options: dict[str, list[Any]] = {
        "omega_first": [30.0, 45.0, 60.0, 80.0, 110.0],
        "omega_hidden": [15.0, 30.0, 45.0],
        "depth": [2, 3, 4],
    }
    if model == "lrnn":
        options |= {
            "dbar": [2, 3, 4, 8],
            "sigma": ["spder", "spder", "sin", "spder-sqrt"],
            "sigma_g": [0.5, 1.0, 1.5],
            "components": ["flex", "flex", "shared"],
        }
    return {"options": options, "fit": fit}


def draw(rng: random.Random, model: str) -> dict[str, Any]:
    """Draw all settings of a trial."""
    return {
        part: {key: rng.choice(values) for key, values in table.items()}
        for part, table in choices(model).items()
    }


def refine(rng: random.Random, model: str, best: dict[str, Any]) -> dict[str, Any]:
    """Draw one to three settings of the best trial anew.

    A drawn value may be the old one, and a trial the same as an earlier one: the stored tables have a few.
    """
    tables = choices(model)
    trial = {part: dict(best[part]) for part in tables}
    keys = [(part, key) for part, table in tables.items() for key in table]
    for part, key in rng.sample(keys, rng.randint(1, 3)):
        trial[part][key] = rng.choice(tables[part][key])
    return trial


def score(
    model: str, trial: dict[str, Any], signals: list[Signal], args: argparse.Namespace, best_first: float
) -> dict[str, Any]:
    """Fit all images; return the PSNR of each, the mean and the seconds."""
    psnr, began = [], time.perf_counter()
    for signal in signals:
        fit = dict(trial["fit"])
        per_pass = fit.pop("steps_per_pass", 32)
        n = args.size * args.size
        budget = {"steps": args.passes * per_pass, "batch_points": n // per_pass, "threads": 1}
        settings = FitSettings(**budget, **fit)
        choice = ModelChoice(name=model, options=trial["options"], params=args.params)
        run = Regression(signal, ImageTask(signal).transform(), make_plan(signal, choice, settings), settings)
        for _ in run.steps(lambda: False):
            pass
        psnr.append(run.trainer.samples.psnr_db(run.trainer.final_loss))
        run.close()
        if psnr[0] < best_first - HOPELESS_DB:
            break
    return {
        **trial,
        "psnr_db": [round(v, 2) for v in psnr],
        "score": round(sum(psnr) / len(psnr), 3),
        "complete": len(psnr) == len(signals),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Run the trials and store the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--refine", type=int, default=8)
    parser.add_argument("--passes", type=int, default=10)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--params", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", default="lrnn,siren")
    args = parser.parse_args()
    torch.set_num_threads(1)
    signals = pictures(args.size)
    tables: dict[str, list[dict[str, Any]]] = {}
    settings = {key: value for key, value in vars(args).items() if key != "models"}
    for model in args.models.split(","):
        rng = random.Random(args.seed)
        trials: list[dict[str, Any]] = [{"options": {}, "fit": {}}, {"options": {}, "fit": {"lstsq": []}}]
        trials += [draw(rng, model) for _ in range(args.trials - len(trials))]
        rows: list[dict[str, Any]] = []
        for k in range(args.trials + args.refine):
            best_first = max((r["psnr_db"][0] for r in rows), default=0.0)
            complete = [r for r in rows if r["complete"]]
            trial = trials[k] if k < len(trials) else refine(rng, model, max(complete, key=by_score))
            rows.append(score(model, trial, signals, args, best_first) | {"trial": k})
            print(model, rows[-1], flush=True)
            complete = sorted((r for r in rows if r["complete"]), key=by_score, reverse=True)
            tables[model] = complete + [r for r in rows if not r["complete"]]
            save("search_image", {"settings": settings, "images": IMAGES, "tables": tables})


def by_score(row: dict[str, Any]) -> float:
    """Return what trials are ranked by."""
    return float(row["score"])


if __name__ == "__main__":
    main()
