"""Search behind the defaults of LRNN for images: random settings, equal passes over the pixels.

    python -m benchmarks.search_image [--trials 30] [--passes 20] [--size 128] [--params 50000] [--seed 0]

Every trial fits all images with the same number of passes over the pixels; the score is the mean final
PSNR. The first trial is the present default, the second the default with a plain start, so that a table
always shows what the choices of the default are worth. A trial far below the best after the first image is
not continued; its score is that image's. SIREN gets the same number of trials over its own options.
"""

import argparse
import random
import time
from typing import Any

import torch

from benchmarks.machine import save
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.signals.image import ImageOptions, read_image
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression, make_plan

IMAGES = ("camera256", "chelsea256", "astronaut256")
HOPELESS_DB = 6.0  # below the best first image


def draw(rng: random.Random, model: str) -> dict[str, Any]:
    """Draw settings of a trial: options of the model and of the training."""
    fit = {
        "lr": rng.choice([5e-4, 1e-3, 2e-3, 4e-3]),
        "schedule": rng.choice(["inverse:0.05", "inverse:0.02", "exp:0.05", "linear:0.05", "cos:0.02"]),
        "passes_per_batch": rng.choice([8, 16, 32]),
        "lstsq": rng.choice([[], ["start", "end"]]),
        "warmup_steps": rng.choice([0, 10]),
    }
    options: dict[str, Any] = {
        "omega_first": rng.choice([30.0, 45.0, 60.0, 90.0]),
        "omega_hidden": rng.choice([15.0, 30.0, 45.0]),
        "depth": rng.choice([2, 3, 4, 5]),
    }
    if model == "lrnn":
        options |= {
            "dbar": rng.choice([2, 3, 4, 6, 8]),
            "sigma": rng.choice(["spder", "spder", "sin", "spder-sqrt"]),
            "sigma_g": rng.choice([0.5, 1.0, 1.5]),
            "components": rng.choice(["flex", "flex", "shared"]),
        }
    return {"options": options, "fit": fit}


def score(model: str, trial: dict[str, Any], args: argparse.Namespace, best_first: float) -> dict[str, Any]:
    """Fit all images; return the PSNR of each, the mean and the seconds."""
    psnr, began = [], time.perf_counter()
    for name in IMAGES:
        signal = read_image(f"sample_data/{name}.png", ImageOptions(resize=(args.size, args.size)))
        fit = dict(trial["fit"])
        per_pass = fit.pop("passes_per_batch", 16)
        n = args.size * args.size
        settings = FitSettings(steps=args.passes * per_pass, batch_points=n // per_pass, threads=1, **fit)
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
        "complete": len(psnr) == len(IMAGES),
        "seconds": round(time.perf_counter() - began, 1),
    }


def main() -> None:
    """Run the trials and store the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--passes", type=int, default=20)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--params", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--models", default="lrnn,siren")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tables = {}
    for model in args.models.split(","):
        rng = random.Random(args.seed)
        trials = [{"options": {}, "fit": {}}, {"options": {}, "fit": {"lstsq": []}}]
        trials += [draw(rng, model) for _ in range(args.trials - len(trials))]
        rows: list[dict[str, Any]] = []
        for trial in trials:
            rows.append(score(model, trial, args, max((r["psnr_db"][0] for r in rows), default=0.0)))
            print(model, rows[-1], flush=True)
        complete = [r for r in rows if r["complete"]]
        tables[model] = sorted(complete, key=lambda r: -r["score"]) + [r for r in rows if not r["complete"]]
    settings = {key: value for key, value in vars(args).items() if key != "models"}
    print(save("search_image", {"settings": settings, "images": IMAGES, "tables": tables}))


if __name__ == "__main__":
    main()
