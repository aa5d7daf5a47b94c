"""Time to a PSNR: LRNN's default against SIREN trained as usual, full batches at a tuned constant rate.

    python -m benchmarks.plain_siren [--steps 250] [--seeds 2] [--rates 1e-3,2e-3] [--threads 1]

`benchmarks.image` ends SIREN with full batches after a minute, before it has reached 35 dB. Here it goes on,
and its steps are counted: with a constant rate they depend neither on the budget nor on what else the machine
does. Seconds are steps times the seconds of a full-batch step: of plain, uncompiled SIREN from
`results/step_fast.json`, and in this tool's blocks from the runs of `results/image_camera256.json`, from
which LRNN's seconds are taken.
"""

import argparse
import json
import statistics
from typing import Any

from benchmarks.image import run
from benchmarks.machine import RESULTS, save

IMAGE = "sample_data/camera256.png"
LEVELS = ("30", "35", "40")
FULL = ["--model", "siren", "--params", "200k", "--batch-points", "full", "--schedule", "const"]
FULL += ["--lstsq", "none", "--warmup", "0", "--until", "40dB"]


def seconds_per_step() -> dict[str, float]:
    """Return the seconds of a full-batch step: plain, and in this tool's blocks."""
    step = json.loads((RESULTS / "step_fast.json").read_text())
    image = json.loads((RESULTS / "image_camera256.json").read_text())
    blocks = [r["train_s"] / r["steps"] for r in image["runs"] if "full" in r["options"]]
    return {
        "plain": step["engines"]["siren, plain autograd"]["seconds"]["median"],
        "blocks": statistics.median(blocks),
    }


def main() -> None:
    """Run what is missing and store the table after every run."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=250)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--rates", default="1e-3,2e-3")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    path = RESULTS / "plain_siren.json"
    stored: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    runs: list[dict[str, Any]] = stored["runs"] if stored.get("steps") == args.steps else []
    for seed in range(args.seeds):
        for rate in args.rates.split(","):
            if any(r["seed"] == seed and r["lr"] == rate for r in runs):
                continue
            found = run(
                *(IMAGE, *FULL, "--steps", str(args.steps), "--lr", rate),
                *("--seed", str(seed), "--threads", str(args.threads)),
            )
            steps = {level: (found["reached"][level] or {}).get("step") for level in LEVELS}
            runs.append({"seed": seed, "lr": rate, "steps_to": steps, "psnr_db": found["psnr_db"]})
            print(runs[-1], flush=True)
            store(args.steps, runs)


def store(steps: int, runs: list[dict[str, Any]]) -> None:
    """Write runs and, per level, the fewest median steps of a rate in seconds against LRNN's."""
    image = json.loads((RESULTS / "image_camera256.json").read_text())["rows"]["lrnn"]["seconds_to"]
    cost, table = seconds_per_step(), {}
    for level in LEVELS:
        by_rate = {}
        for rate in sorted({r["lr"] for r in runs}):
            counts = [r["steps_to"][level] for r in runs if r["lr"] == rate]
            by_rate[rate] = statistics.median(counts) if all(counts) else None
        reached = [count for count in by_rate.values() if count]
        ours = image[level]["median"]
        seconds = {way: min(reached) * cost[way] if reached else None for way in cost}
        table[level] = {
            "siren_steps": by_rate,
            "siren_s": seconds,
            "lrnn_s": ours,
            "times_sooner": {way: s / ours if s else None for way, s in seconds.items()},
        }
    save("plain_siren", {"steps": steps, "seconds_per_step": cost, "levels": table, "runs": runs})


if __name__ == "__main__":
    main()
