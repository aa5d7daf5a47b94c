"""Does SIREN as published reach 40 dB in eight times the seconds that LRNN takes? One photograph, tuned rate.

    python -m benchmarks.image_plain [--time 120] [--seeds 3] [--rates 5e-4,1e-3,2e-3]

Full batches, constant rate, no least squares, 200k parameters, in this tool's blocks, which are faster than
plain autograd: `lrnn fit-image`, alone on the machine. Every rate is run with seed 0, the one of the best
final PSNR with all seeds. The seconds of LRNN are those of `results/image_camera256.json`, so this is to be
run on the machine that made them. Runs that are stored are not repeated.
"""

import argparse
import json
from typing import Any

from benchmarks.image import FULL, run
from benchmarks.machine import RESULTS, save, spread

IMAGE = "sample_data/camera256.png"
PLAIN = ("--model", "siren", "--params", "200k", *FULL)


def main() -> None:
    """Run what is missing and store it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--time", type=float, default=120.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rates", default="5e-4,1e-3,2e-3")
    args = parser.parse_args()
    path = RESULTS / "image_plain.json"
    runs: list[dict[str, Any]] = json.loads(path.read_text())["runs"] if path.exists() else []

    def get(rate: str, seed: int) -> dict[str, Any]:
        options = [*PLAIN, "--time", f"{args.time}s", "--lr", rate, "--seed", str(seed)]
        found = next((r for r in runs if r["options"] == options), None)
        if found is None:
            found = run(IMAGE, *options)
            runs.append(found)
            save("image_plain", {"image": IMAGE, "runs": runs})
        return found

    best = max(args.rates.split(","), key=lambda rate: get(rate, 0)["psnr_db"])
    these = [get(best, seed) for seed in range(args.seeds)]
    lrnn = json.loads((RESULTS / "image_camera256.json").read_text())["rows"]["lrnn"]["seconds_to"]
    record = {
        "image": IMAGE,
        "rate": float(best),
        "psnr_db": spread([r["psnr_db"] for r in these]),
        "reached": {level: [r["reached"][level] for r in these] for level in ("35", "40")},
        "lrnn_seconds_to": {level: lrnn[level] for level in ("35", "40")},
        "runs": runs,
    }
    print({key: value for key, value in record.items() if key != "runs"})
    print(save("image_plain", record))


if __name__ == "__main__":
    main()
