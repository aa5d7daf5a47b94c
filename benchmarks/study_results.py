"""The numbers of a study that has been run, stored as results/study_NAME.json: every run, table and settings.

    lrnn study run benchmarks/studies/images.yaml -d FOLDER --threads 1
    python -m benchmarks.study_results benchmarks/studies/images.yaml FOLDER

Jobs that have not ended are counted and left out. Times are stored as they were taken; where the machine did
other work, they tell nothing.
"""

import argparse
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


def main() -> None:
    """Store the numbers of one study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    print(save(f"study_{args.file.stem.replace('-', '_')}", record(args.file, args.folder)))


if __name__ == "__main__":
    main()
