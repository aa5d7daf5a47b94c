"""The stored numbers of a study: all runs that ended, failed ones too, and how many did not."""

from pathlib import Path

from benchmarks.study_results import markdown, record
from lrnn_cli.cli.study_plan import load_plan
from tests.conftest import ROOT
from tests.studies.folders import write_run

STUDY = """\
name: s
task: fit-image
inputs: camera256.png
models: [lrnn, siren]
seeds: 2
settings: {params: 300, steps: 3}
targets: [25]
"""


def test_runs_table_and_what_is_missing(tmp_path: Path) -> None:
    file = tmp_path / "s.yaml"
    sample = ROOT / "sample_data" / "camera256.png"
    file.write_text(STUDY.replace("camera256.png", str(sample)))
    for number, job in enumerate(load_plan(file, None).jobs[:3]):
        status = "failed" if number == 1 else "ok"
        folder = job.folder(tmp_path / "out").path
        write_run(
            folder, model=job.model, seed=job.seed, psnr=30.0 + number, file="camera256.png", status=status
        )
        job.folder(tmp_path / "out").freeze(job)
    found = record(file, tmp_path / "out")
    assert [(run["label"], run["seed"], run["status"]) for run in found["runs"]] == [
        ("lrnn", 0, "ok"), ("lrnn", 1, "failed"), ("siren", 0, "ok"),
    ]  # fmt: skip
    assert found["not_ended"] == ["siren, camera256.png, seed 1"]
    assert [row["targets"][0]["reached"] for row in found["table"]["rows"]] == [1, 1]
    assert found["study"]["settings"] == {"params": 300, "steps": 3}
    assert "folders" not in found["table"]["rows"][0]


def run(label: str, name: str, psnr: float | None) -> dict:
    """Return a run as it is stored; without a figure one that failed."""
    status, steps = ("failed", None) if psnr is None else ("ok", 7)
    metrics = {} if psnr is None else {"psnr_db": psnr}
    return {
        "label": label, "input": name, "status": status, "params": 2000, "steps": steps, "metrics": metrics,
    }  # fmt: skip


def test_the_table_by_picture_has_the_best_first_and_counts_what_failed() -> None:
    runs = [
        run("a", "x.png", 20.0),
        run("a", "x.png", 22.0),
        run("a", "x.png", 30.0),
        run("a", "y.png", 20.0),
    ]
    runs += [run("b", "x.png", 40.0), run("b", "x.png", None), run("b", "y.png", 60.0)]
    runs += [run("c", "x.png", None), run("c", "y.png", None)]
    assert markdown(runs).splitlines() == [
        "|  | parameters | x | y | mean | steps |",
        "| --- | --: | --: | --: | --: | --: |",
        "| b | 2,000 | 40.0, 1 failed | 60.0 | 40.0 | 7 |",
        "| a | 2,000 | 22.0 (20.0 … 30.0) | 20.0 | 21.0 | 7 |",
        "| c | 2,000 | –, 1 failed | –, 1 failed | 0.0 | 0 |",
        "",
        "A failed run counts as 0 dB.",
    ]
    assert "failed" not in markdown(runs[:4])
