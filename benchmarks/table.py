"""Tables of docs/models.md: every model, the authors' own settings, and LRNN's ablations, at equal time.

    python -m benchmarks.table models|authors|ablations [--time 20] [--seeds 3] [--jobs 1] [--threads 1]

Every run is the real command, `lrnn fit-image`, on the sample images at 200k parameters and the same seconds
of training; the figure is the PSNR of the saved checkpoint over all pixels. `models` takes each model at its
defaults; `authors` takes its published image setting (`--preset paper`, at the authors' size), cut at the
same time; `ablations` changes one option of LRNN per row. Runs already stored under the same settings are not
repeated, so an interrupted table goes on. Results: results/table_NAME.json and .md.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from benchmarks.image import run
from benchmarks.machine import RESULTS, save
from lrnn_cli.models.catalog import CATALOG

IMAGES = ("camera256", "astronaut256", "chelsea256")

ABLATIONS: dict[str, list[str]] = {
    "default": [],
    "no LayerNorm": ["--no-layer-norm"],
    "g in place of 1 + γ g": ["--set", "product=plain"],
    "d̄ = 1": ["--dbar", "1"],
    "d̄ = 2": ["--dbar", "2"],
    "d̄ = 8": ["--dbar", "8"],
    "d̄ = 16": ["--dbar", "16"],
    "M = 3": ["--component-width", "3"],
    "shared components": ["--components", "shared"],
    "flex components": ["--components", "flex"],
    "σ = sin": ["--sigma", "sin"],
    "σ = spder": ["--sigma", "spder"],
    "σ = spder-sqrt": ["--sigma", "spder-sqrt"],
    "σ = gauss": ["--sigma", "gauss"],
    "σ = tanh": ["--sigma", "tanh"],
    "σ = relu": ["--sigma", "relu"],
    "depth 1 (shallow)": ["--depth", "1"],
    "depth 2": ["--depth", "2"],
    "depth 3": ["--depth", "3"],
    "depth 4": ["--depth", "4"],
    "plain start": ["--lstsq", "none"],
}


def rows_of(table: str) -> dict[str, list[str]]:
    """Return the options of each row of a table."""
    sized = ["--params", "200k"]
    if table == "models":
        return {name: ["--model", name, *sized] for name in CATALOG}
    if table == "authors":
        return {
            name: ["--model", name, "--preset", "paper"] for name, row in CATALOG.items() if row.published
        }
    return {name: [*sized, *options] for name, options in ABLATIONS.items()}


def measure(row: str, image: str, options: Iterable[str]) -> dict[str, Any]:
    """Run one cell; a run that fails is a result as well."""
    try:
        found = run(f"sample_data/{image}.png", *options)
    except subprocess.CalledProcessError as error:
        found = {"options": list(options), "psnr_db": None, "error": error.stderr.strip().splitlines()[-1:]}
    return {"row": row, "image": image, **found}


def cell(runs: list[dict[str, Any]]) -> str:
    """Return median (smallest … largest) of the PSNR, and how many runs failed."""
    found = [r["psnr_db"] for r in runs if r["psnr_db"] is not None]
    failed = f", {len(runs) - len(found)} failed" if len(found) < len(runs) else ""
    if not found:
        return f"–{failed}"
    text = f"{statistics.median(found):.1f}"
    return text + (f" ({min(found):.1f} … {max(found):.1f})" if len(found) > 1 else "") + failed


def markdown(rows: dict[str, list[str]], runs: list[dict[str, Any]]) -> str:
    """Return the table, best mean of the medians first."""

    def mean(row: str) -> float:
        cells = [
            [r["psnr_db"] or 0.0 for r in runs if (r["row"], r["image"]) == (row, image)] for image in IMAGES
        ]
        return sum(statistics.median(c) for c in cells if c) / len(IMAGES)

    lines = [
        "| | parameters | " + " | ".join(IMAGES) + " | mean | steps |",
        "|---|--:|" + "--:|" * (len(IMAGES) + 2),
    ]
    for row in sorted(rows, key=mean, reverse=True):
        mine = [r for r in runs if r["row"] == row]
        if not mine:
            continue
        sizes = sorted({r["params"] for r in mine if "params" in r})
        steps = [r["steps"] for r in mine if "steps" in r]
        cells = [cell([r for r in mine if r["image"] == image]) for image in IMAGES]
        size = " / ".join(f"{n:,}" for n in sizes) or "–"
        median = f"{statistics.median(steps):,.0f}" if steps else "–"
        lines.append(f"| {row} | {size} | " + " | ".join(cells) + f" | {mean(row):.1f} | {median} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run what is missing of a table and store it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("table", choices=["models", "authors", "ablations"])
    parser.add_argument("--time", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rows", default=None, help="names with commas between them")
    args = parser.parse_args()
    name = f"table_{args.table}"
    rows = rows_of(args.table)
    wanted = rows if args.rows is None else {row: rows[row] for row in args.rows.split(",")}
    budget = {"time_s": args.time, "threads": args.threads, "jobs": args.jobs}
    path = RESULTS / f"{name}.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    runs: list[dict[str, Any]] = stored.get("runs", []) if stored.get("budget") == budget else []
    jobs = []
    for seed in range(args.seeds):
        for row, options in wanted.items():
            for image in IMAGES:
                full = [
                    *options,
                    "--time",
                    f"{args.time}s",
                    "--threads",
                    str(args.threads),
                    "--seed",
                    str(seed),
                ]
                if not any((r["row"], r["image"], r["options"]) == (row, image, full) for r in runs):
                    jobs.append((row, image, full))
    with ThreadPoolExecutor(args.jobs) as pool:
        for future in as_completed([pool.submit(measure, *job) for job in jobs]):
            runs.append(future.result())
            print(runs[-1]["row"], runs[-1]["image"], runs[-1]["psnr_db"], flush=True)
            save(name, {"budget": budget, "images": IMAGES, "runs": runs})
            (RESULTS / f"{name}.md").write_text(markdown(rows, runs), encoding="utf-8")


if __name__ == "__main__":
    main()
