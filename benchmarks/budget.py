"""More budget, never a worse fit: final PSNR at a budget, twice and four times it, on every sample signal.

For LRNN and SIREN at their defaults, on the sample images and sounds; budgets in steps, to which the learning
rate is fitted as it is to seconds, so that the result does not depend on what else the machine does:

    python -m benchmarks.budget [--steps 150] [--seeds 3] [--threads 1]

An interrupted benchmark goes on from what is stored.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from itertools import pairwise
from typing import Any

from benchmarks.machine import RESULTS, save

SIGNALS = {
    "fit-image": ("camera256.png", "astronaut256.png", "chelsea256.png"),
    "fit-audio": ("bach.wav", "counting.wav", "speech_librivox16k.wav", "speech_numbers16k.wav"),
}
MODELS = ("lrnn", "siren")


def psnr_db(command: str, signal: str, *options: str) -> float:
    """Run the command and return the PSNR of the saved checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        words = [sys.executable, "-m", "lrnn_cli", command, f"sample_data/{signal}", "-o", f"{folder}/run"]
        done = subprocess.run([*words, "--json", "-qq", *options], capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout)["metrics"]["psnr_db"])


def main() -> None:
    """Run what is missing and store the table after every row."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--params", default="200k")
    args = parser.parse_args()
    budgets = [args.steps * factor for factor in (1, 2, 4)]
    head = {"params": args.params, "steps": budgets}
    path = RESULTS / "budget.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    rows: list[dict[str, Any]] = stored["rows"] if {k: stored.get(k) for k in head} == head else []
    done = {(row["model"], row["signal"], row["seed"]) for row in rows}
    for seed in range(args.seeds):
        for command, signals in SIGNALS.items():
            for signal in signals:
                for model in MODELS:
                    if (model, signal, seed) in done:
                        continue
                    common = ["--model", model, "--params", args.params, "--threads", str(args.threads)]
                    common += ["--seed", str(seed)]
                    if command == "fit-audio":
                        common += ["--segments", "1"]
                    found = [psnr_db(command, signal, *common, "--steps", str(n)) for n in budgets]
                    monotone = all(a <= b for a, b in pairwise(found))
                    row = {"model": model, "signal": signal, "seed": seed, "psnr_db": found}
                    rows.append({**row, "monotone": monotone})
                    print(rows[-1], flush=True)
                    save("budget", {**head, "rows": rows})


if __name__ == "__main__":
    main()
