"""Time to quality on a photograph: LRNN against SIREN whose learning rate is tuned on the same image.

    python -m benchmarks.image [--image sample_data/camera256.png] [--time 60] [--seeds 3] [--params 200k]

Every run is the real command, `lrnn fit-image`, alone on the machine. SIREN is run in three ways: in this
tool's blocks and random batches like LRNN, and with full batches at a constant rate as its authors did; in
both its learning rate is tuned on the same image: the two best of a list by the final PSNR of a run of the
same length are run with all seeds, and the one of the better median is the row (one seed alone can favour a
rate that fails with others); and with the best settings of `search_image`, where it had as many trials as
LRNN, on other pictures. LRNN and FINER run at their defaults, LRNN with Adam, too. Times to a
level are read from the training log (running mean of the batches before each step); the final PSNR is that of
the saved checkpoint over all pixels.

Runs stored by the same version on the same machine are not repeated: an interrupted benchmark goes on. With
`--only lrnn` that row alone is taken anew, and the others stay as they are stored, which must be of the same
image, time and size; each row says by which version it was taken.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.machine import RESULTS, machine, save, spread

LEVELS_DB = (25, 30, 35, 40, 42, 45, 50)
BATCH_RATES = (1e-3, 2e-3, 3e-3, 4e-3)
FULL_RATES = (5e-4, 1e-3, 2e-3, 4e-3)
FINALISTS = 2
# as published: all points in every step, a constant rate, no least squares
FULL = ("--batch-points", "full", "--schedule", "const", "--lstsq", "none", "--warmup", "0")


def run(image: str, *options: str) -> dict[str, Any]:
    """Run the command and return its figures."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "lrnn_cli", "fit-image", image, "-o", f"{folder}/run"]
        done = subprocess.run(
            [*command, "--json", "-qq", *options], capture_output=True, text=True, check=True
        )
        record = json.loads(done.stdout)
        log = [json.loads(line) for line in Path(folder, "run", "train.jsonl").read_text().splitlines()]
    reached: dict[str, Any] = {}
    for level in LEVELS_DB:
        first = next((r for r in log if (r.get("psnr_db") or -1.0) >= level), None)
        reached[str(level)] = (
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
    found = [r["reached"][str(level)]["seconds"] for r in runs if r["reached"][str(level)]]
    return spread(found) if len(found) == len(runs) else None


class Runs:
    """Runs of the command, each done once; stored after every run."""

    def __init__(self, image: str, time_s: float, params: str) -> None:
        self.image, self.common = image, ["--params", params, "--time", f"{time_s}s"]
        self.name = f"image_{Path(image).stem}"
        self.asked = {"image": image, "time_s": time_s, "params": params}
        self.record: dict[str, Any] = {**self.asked, "levels_db": LEVELS_DB, "rows": {}, "runs": []}
        path = RESULTS / f"{self.name}.json"
        self.stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        stored = self.stored
        here = machine()
        self.version = here["env"]["git"]
        same = all(stored.get("machine", {}).get(key) == here[key] for key in ("processor", "env"))
        if same and stored["image"] == image and "runs" in stored:
            self.record["runs"] = stored["runs"]

    def keep_rows(self) -> None:
        """Take over the stored rows, which must have been asked for with the same image, time and size."""
        asked = {key: self.stored[key] for key in self.asked} if self.stored else self.asked
        if asked != self.asked:
            told = "; ".join(", ".join(f"{k} {v}" for k, v in each.items()) for each in (asked, self.asked))
            raise SystemExit(
                f"--only: {self.name}.json has rows of other runs than these ({told}); leave --only out"
            )
        self.record["rows"] = self.stored.get("rows", {})

    def get(self, options: list[str], seed: int) -> dict[str, Any]:
        """Return the figures of one run."""
        words = [*self.common, *options, "--seed", str(seed)]
        for done in self.record["runs"]:
            if done["options"] == words:
                return done
        self.record["runs"].append(run(self.image, *words))
        self.store()
        return self.record["runs"][-1]

    def store(self) -> Path:
        """Write what there is."""
        return save(self.name, self.record)


def row(runs: Runs, options: list[str], seeds: int) -> dict[str, Any]:
    """Return the figures of one way of training over the seeds."""
    found = [runs.get(options, seed) for seed in range(seeds)]
    return {
        "version": runs.version,
        "options": options,
        "psnr_db": spread([r["psnr_db"] for r in found]),
        "seconds_to": {str(level): seconds_to(found, level) for level in LEVELS_DB},
    }


def main() -> None:
    """Run what is missing and store the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", default="sample_data/camera256.png")
    parser.add_argument("--time", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--params", default="200k")
    parser.add_argument("--only", help="take this row alone anew")
    args = parser.parse_args()
    runs = Runs(args.image, args.time, args.params)
    if args.only:
        runs.keep_rows()
    for name, options in {
        "lrnn": ["--model", "lrnn"],
        "lrnn, Adam": ["--model", "lrnn", "--optimizer", "adam"],
        "finer": ["--model", "finer"],
        "siren, searched": ["--model", "siren", *searched("siren")],
    }.items():
        if args.only in (None, name):
            runs.record["rows"][name] = row(runs, options, args.seeds)
    for name, options, rates in (
        ("siren, random batches", ["--model", "siren"], BATCH_RATES),
        ("siren, full batches", ["--model", "siren", *FULL], FULL_RATES),
    ):
        if args.only not in (None, name):
            continue
        ways = [[*options, "--lr", str(rate)] for rate in rates]
        trials = [runs.get(way, 0)["psnr_db"] for way in ways]
        finalists = sorted(range(len(ways)), key=lambda k: -trials[k])[:FINALISTS]
        rows = [row(runs, ways[k], args.seeds) for k in finalists]
        best = max(rows, key=lambda r: r["psnr_db"]["median"])
        tried = dict(zip(map(str, rates), trials, strict=True))
        runs.record["rows"][name] = {**best, "trials_psnr_db": tried, "finalists": rows}
    for name, found in runs.record["rows"].items():
        print(name, found["options"], found["psnr_db"], found["seconds_to"]["35"], flush=True)
    print(runs.store())


if __name__ == "__main__":
    main()
