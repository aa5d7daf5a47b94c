"""Sparse-view CT on the drawn chest slice: classical methods and networks side by side.

    python -m benchmarks.ct_methods                                   classical methods and LRNN, all settings
    python -m benchmarks.ct_methods --models lrnn,siren,wire,gauss,relu-pe --seeds 3 --settings 100-noise
    python -m benchmarks.ct_methods --size 64 --steps 20 --settings 20   a smoke run

Truth: 2 x 2 mean of a slice of twice the size; strip projections of that slice; reconstruction with the
Joseph model; angles half-open. Every network has the same parameters, budget, start, prior and data term.
One JSON line a run.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.machine import machine
from lrnn_cli.numerics import chest_phantom

SETTINGS = {
    "20": ["--views", "20"],
    "50": ["--views", "50"],
    "100": ["--views", "100"],
    "100-noise": ["--views", "100", "--noise", "readout", "--tau", "30", "--readout", "2"],
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--models", default="lrnn")
    parser.add_argument("--settings", default=",".join(SETTINGS))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--params", default="180k")
    parser.add_argument("--prior", default="tv+nlm")
    parser.add_argument("--time", default="240s")
    parser.add_argument("--steps", default=None)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "ct.jsonl")
    args = parser.parse_args()
    budget = ["--steps", args.steps] if args.steps else ["--time", args.time]
    with tempfile.TemporaryDirectory() as temporary:
        source = Path(temporary) / "chest.npy"
        np.save(source, chest_phantom.chest(2 * args.size))
        for setting in args.settings.split(","):
            for seed in range(args.seeds):
                folder = f"{temporary}/{setting}-{seed}"
                command = [
                    *(sys.executable, "-m", "lrnn_cli", "reconstruct-ct", str(source)),
                    *("--size", str(args.size), *SETTINGS[setting]),
                    *("--method", f"{args.models},fbp,sart,sirt,tv", "--params", args.params),
                    *("--prior", args.prior, *budget, "--seed", str(seed), "--json", "-q", "-o", folder),
                ]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                record = json.loads(done.stdout)
                row = {
                    "setting": setting,
                    "seed": seed,
                    "size": args.size,
                    "budget": budget,
                    "prior": args.prior,
                    "scan": record["metrics"]["setting"],
                    "methods": record["methods"],
                    "chosen": record["chosen"],
                    "machine": machine(),
                }
                args.out.parent.mkdir(parents=True, exist_ok=True)
                with args.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(setting, seed, {k: (v["psnr_db"], v["ssim"]) for k, v in record["methods"].items()})


if __name__ == "__main__":
    main()
