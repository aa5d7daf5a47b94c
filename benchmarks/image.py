"""Time to quality on a photograph: LRNN against SIREN whose learning rate is tuned on the same image.

    python -m benchmarks.image [--image sample_data/camera256.png] [--time 60] [--seeds 3] [--params 200k]

Every run is the real command, `lrnn fit-image`, alone on the machine. SIREN is run in three ways: in this
tool's blocks and random batches like LRNN, and with full batches at a constant rate as its authors did; in
both its learning rate is the best of a list, chosen by the final PSNR of a run of the same length on the same
image; and with the best settings of `search_image`, where it had as many trials as LRNN, on other pictures.
LRNN runs at its default. Times to a level are read from the training log (running mean of the batches before
each step); the final PSNR is that of the saved checkpoint over all pixels.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, save, spread

LEVELS_DB = (25, 30, 35, 40, 42, 45, 50)
BATCH_RATES = (1e-3, 2e-3, 3e-3, 4e-3)
FULL_RATES = (5e-4, 1e-3, 2e-3, 4e-3)


def run(image: str, *options: str) -> dict[str, Any]:
    """Run the command and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lrnn_cli", "fit-image", image, "-o", f"{folder}/run"]
        done = subprocess.run(
            [*command, "--json", "-qq", *options], capture_output=True, text=True, check=True
        )
        record = json.loads(done.stdout)
        log = [json.loads(line) for line in Path(folder, "run", "train.jsonl").read_text().splitlines()]
    reached = {}
    for level in LEVELS_DB:
        first = next((r for r in log if (r.get("psnr_db") or -1.0) >= level), None)
        reached[level] = (
            None if first is None else {"seconds": round(first["seconds"], 2), "step": first["step"]}
        )
    return {
        "options": list(options),
        "psnr_db": record["metrics"]["psnr_db"],
        "ssim": record["metrics"]["ssim"],
        "params": record["model"]["params"],
        "steps": record["train"]["steps"],
        "train_s": record["time"]["train_s"],
        "peak_rss_mb": record["resources"]["peak_rss_mb"],
        "rollbacks": record["train"]["rollbacks"],
        "fresh_starts": record["train"]["fresh_starts"],
        "reached": reached,
    }


def searched(model: str) -> list[str]:
    """Return the best settings of the stored search as options of the command."""
    record = json.loads((RESULTS / "search_image.json").read_text())
    best = max((r for r in record["tables"][model] if r["complete"]), key=lambda r: r["score"])
    fit = dict(best["fit"])
    points = record["settings"]["size"] ** 2 // fit.pop("steps_per_pass", 32)
    words = [f"--set={key}={value}" for key, value in best["options"].items()]
    words += ["--batch-points", str(points), "--lstsq", ",".join(fit.pop("lstsq", [])) or "none"]
    if "warmup_steps" in fit:
        words += ["--warmup", str(fit.pop("warmup_steps"))]
    return [*words, *(word for key, value in fit.items() for word in (f"--{key}", str(value)))]


def seconds_to(runs: list[dict[str, Any]], level: int) -> dict[str, float] | None:
    """Return the spread of the seconds to a level, None unless all runs reached it."""
    found = [r["reached"][level]["seconds"] for r in runs if r["reached"][level]]
    return spread(found) if len(found) == len(runs) else None


def main() -> None:
    """Run everything and store the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", default="sample_data/camera256.png")
    parser.add_argument("--time", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--params", default="200k")
    args = parser.parse_args()
    common = ["--params", args.params, "--time", f"{args.time}s"]
    full = ["--batch-points", "full", "--schedule", "const", "--lstsq", "none", "--warmup", "0"]
    ways = {
        "lrnn": (["--model", "lrnn"], ()),
        "siren, random batches": (["--model", "siren"], BATCH_RATES),
        "siren, searched": (["--model", "siren", *searched("siren")], ()),
        "siren, full batches": (["--model", "siren", *full], FULL_RATES),
    }
    rows = {}
    for name, (options, rates) in ways.items():
        trials = []
        for rate in rates:
            trials.append(run(args.image, *common, *options, "--lr", str(rate)))
            print(name, rate, f"{trials[-1]['psnr_db']:.2f} dB", flush=True)
        if trials:
            best = max(range(len(trials)), key=lambda k: trials[k]["psnr_db"])
            options = [*options, "--lr", str(rates[best])]
        runs = [run(args.image, *common, *options, "--seed", str(seed)) for seed in range(args.seeds)]
        row = {
            "options": options,
            "trials": trials,
            "runs": runs,
            "psnr_db": spread([r["psnr_db"] for r in runs]),
            "seconds_to": {level: seconds_to(runs, level) for level in LEVELS_DB},
        }
        rows[name] = row
        print(name, row["options"], row["psnr_db"], row["seconds_to"], flush=True)
    name = f"image_{Path(args.image).stem}"
    record = {
        "image": args.image,
        "time_s": args.time,
        "params": args.params,
        "levels_db": LEVELS_DB,
        "rows": rows,
    }
    print(save(name, record))


if __name__ == "__main__":
    main()
