"""Seconds of training to a quality on a GPU, LRNN and SIREN, the sample pictures of 256 x 256 pixels.

    python -m benchmarks.image_gpu [--level 40] [--time 2] [--seeds 3] [--params 200000] [--batches 2048,8192]

Everything is done in one process, after a short run of the same shape that compiles and loads kernels; what
that takes is `first_s`. Seconds are those of training: least-squares start, steps, and making sure over all
points that the level is reached. The schedule of the rate ends at `--time`, at which a run that has not
reached the level ends; SIREN gets four rates and `--siren-time`, and the best of them is its row.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.machine import save, spread
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.signals.image import read_image
from lrnn_cli.tasks.fit_image import ImageTask
from lrnn_cli.tasks.regression import ModelChoice, Regression

SAMPLES = Path(__file__).parent.parent / "sample_data"
IMAGES = ("camera256", "astronaut256", "chelsea256")
SIREN_RATES = (1e-3, 2e-3, 3e-3, 4e-3)


def run(image: str, model: str, params: int, **fit: Any) -> dict[str, Any]:
    """Train once and return its figures."""
    task = ImageTask(read_image(str(SAMPLES / f"{image}.png")))
    settings = FitSettings(device="cuda", **fit)
    torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    plan = task.plan(ModelChoice(name=model, params=params), settings)
    fitting = Regression(task.signal, task.transform(), plan, settings)
    events = [record.event for record in fitting.steps(lambda: False) if record.event]
    trainer = fitting.trainer
    fitting.close()
    return {
        "image": image, "model": model, **fit, "engine": plan.engine.name, "params": plan.n_params,
        "seconds": round(trainer.elapsed, 4), "all_s": round(time.perf_counter() - began, 4),
        "steps": trainer.step, "outcome": str(trainer.outcome),
        "psnr_db": round(trainer.samples.psnr_db(trainer.final_loss), 3),
        "peak_mb": round(torch.cuda.max_memory_allocated() / 2**20, 1), "events": events,
    }  # fmt: skip


def main() -> None:
    """Run everything, store and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--level", type=float, default=40.0)
    parser.add_argument("--time", type=float, default=2.0)
    parser.add_argument("--siren-time", type=float, default=10.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--params", type=int, default=200_000)
    parser.add_argument("--batches", default="2048,8192")
    args = parser.parse_args()
    batches, until = [int(b) for b in args.batches.split(",")], f"{args.level:g}dB"
    rows, firsts = [], []
    for batch in batches:
        for image in IMAGES[:2]:  # one channel, three channels
            began = time.perf_counter()
            run(image, "lrnn", args.params, steps=40, batch_points=batch)
            firsts.append({"image": image, "batch": batch, "first_s": round(time.perf_counter() - began, 2)})
            print(firsts[-1], flush=True)
    for batch in batches:
        for image in IMAGES:
            for seed in range(args.seeds):
                fit = {"time_s": args.time, "until": until, "batch_points": batch, "seed": seed}
                rows.append(run(image, "lrnn", args.params, **fit))
                print(rows[-1], flush=True)
    run("camera256", "siren", args.params, steps=40, batch_points=batches[0])
    for image in IMAGES:
        fit = {"time_s": args.siren_time, "until": until, "batch_points": batches[-1]}
        found = [run(image, "siren", args.params, **fit, lr=rate) for rate in SIREN_RATES]
        reached = [r for r in found if r["outcome"] == "target"]
        best = min(reached, key=lambda r: r["seconds"]) if reached else max(found, key=lambda r: r["psnr_db"])
        rows += [{**r, "best_rate": r is best} for r in found]
        print(best, flush=True)
    summary = {
        f"lrnn, {image}, batches of {batch}": {
            "seconds": spread([r["seconds"] for r in these]),
            "reached": sum(r["outcome"] == "target" for r in these),
            "of": len(these),
        }
        for batch in batches
        for image in IMAGES
        if (these := [r for r in rows if r["image"] == image and r["model"] == "lrnn"
                      and r["batch_points"] == batch])
    }  # fmt: skip
    record = {"level_db": args.level, "first_runs": firsts, "summary": summary, "rows": rows}
    print(summary)
    print(save("image_gpu", record))


if __name__ == "__main__":
    main()
