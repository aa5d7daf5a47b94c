"""More budget, never a worse fit: final PSNR at a time, twice and four times it, on every sample image.

For LRNN and SIREN:

    python -m benchmarks.budget [--time 6]
"""

import argparse
from itertools import pairwise

from benchmarks.image import run
from benchmarks.machine import save

IMAGES = ("camera256", "astronaut256", "chelsea256")


def main() -> None:
    """Run everything and store the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", type=float, default=6.0)
    parser.add_argument("--params", default="200k")
    args = parser.parse_args()
    rows = []
    for model in ("lrnn", "siren"):
        for image in IMAGES:
            path = f"sample_data/{image}.png"
            times = [args.time * factor for factor in (1, 2, 4)]
            psnr = [
                run(path, "--model", model, "--params", args.params, "--time", f"{t}s")["psnr_db"]
                for t in times
            ]
            monotone = all(a <= b for a, b in pairwise(psnr))
            rows.append(
                {"model": model, "image": image, "time_s": times, "psnr_db": psnr, "monotone": monotone}
            )
            print(rows[-1], flush=True)
    print(save("budget", {"params": args.params, "rows": rows}))


if __name__ == "__main__":
    main()
