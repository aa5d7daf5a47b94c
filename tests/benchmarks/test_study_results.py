"""The stored numbers of a study: all runs that ended, failed ones too, and how many did not."""

from pathlib import Path

from benchmarks.study_results import record
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
