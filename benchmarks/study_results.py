"""The numbers of a study that has been run: results/study_NAME.json, and a table by input, study_NAME.md.

    lrnn study run benchmarks/studies/images.yaml -d FOLDER --threads 1
    python -m benchmarks.study_results benchmarks/studies/images.yaml FOLDER

The first has every run, the table of `lrnn study table` and the settings. Jobs that have not ended are
counted and left out. Times are stored as they were taken; where the machine did other work, they tell
nothing.
"""

import argparse
import statistics
from pathlib import Path

import yaml

from benchmarks.machine import save
from lrnn_cli.cli.comparing import parse_goals
from lrnn_cli.cli.study_plan import load_plan
from lrnn_cli.runs.folder import finite
from lrnn_cli.studies.comparison import as_dict, compare
from lrnn_cli.studies.gather import gather


def record(file: Path, folder: Path) -> dict:
    """Return what is stored of a study."""
    plan = load_plan(file, None)
    found = gather(plan, folder)
    table = as_dict(compare(found.records, parse_goals(",".join(map(str, plan.study.targets)))))
    for row in table["rows"]:
        row.pop("folders")
    runs = [
        {
            "job": job.id, "label": job.label, "input": job.input, "seed": job.seed, "status": run.status,
            "reason": run.reason, "params": run.params, "steps": run.steps, "train_s": run.train_s,
            "metrics": run.metrics,
        }
        for job, run in found.runs
    ]  # fmt: skip
    waiting = [f"{job.label}, {job.input}, seed {job.seed}" for job in found.waiting]
    study = yaml.safe_load(file.read_text(encoding="utf-8"))
    return finite(
        {"study": study, "not_ended": waiting, "left_out": list(found.left_out), "runs": runs, "table": table}
    )


def cell(runs: list[dict]) -> str:
    """Return the median (least … largest) of the PSNR of the runs that succeeded, and how many did not."""
    found = [run["metrics"]["psnr_db"] for run in runs if run["status"] == "ok"]
    failed = f", {len(runs) - len(found)} failed" if len(found) < len(runs) else ""
    if not found:
        return f"–{failed}"
    spread = f" ({min(found):.1f} … {max(found):.1f})" if len(found) > 1 else ""
    return f"{statistics.median(found):.1f}{spread}{failed}"


def markdown(runs: list[dict]) -> str:
    """Return PSNR by model and picture, the best mean of medians first; a failed run counts as 0 dB."""
    inputs = sorted({run["input"] for run in runs})
    rows = []
    for label in dict.fromkeys(run["label"] for run in runs):
        mine = [run for run in runs if run["label"] == label]
        by_input = [[run for run in mine if run["input"] == name] for name in inputs]
        medians = [
            statistics.median([run["metrics"]["psnr_db"] if run["status"] == "ok" else 0.0 for run in part])
            for part in by_input
            if part
        ]
        sizes = " / ".join(f"{n:,}" for n in sorted({run["params"] for run in mine if run["params"]}))
        steps = [run["steps"] for run in mine if run["steps"]]
        cells = [label, sizes or "–", *(cell(part) for part in by_input), f"{statistics.fmean(medians):.1f}"]
        rows.append((statistics.fmean(medians), [*cells, f"{statistics.median(steps or [0]):,.0f}"]))
    head = ["", "parameters", *(Path(name).stem for name in inputs), "mean", "steps"]
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *(cells for _, cells in sorted(rows, reverse=True))]
    note = "\nA failed run counts as 0 dB.\n" if any(run["status"] != "ok" for run in runs) else ""
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) + note


def main() -> None:
    """Store the numbers of one study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    found = record(args.file, args.folder)
    path = save(f"study_{args.file.stem.replace('-', '_')}", found)
    if found["study"]["task"] == "fit-image":
        path.with_suffix(".md").write_text(markdown(found["runs"]), encoding="utf-8")
    print(path)


if __name__ == "__main__":
    main()
