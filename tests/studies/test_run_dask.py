"""Jobs on dask.distributed, in processes of their own: a killed worker costs no job and doubles none."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lrnn_cli.errors import DeviceError
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.run_dask import connect, default_workers, work
from tests.conftest import ROOT, program_env
from tests.studies.job_support import PROGRAM, job


def script(name: str, folder: Path) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", f"tests.studies.{name}", str(folder)],
        cwd=ROOT, env=program_env(), capture_output=True, encoding="utf-8", timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_killed_worker_costs_no_job_and_doubles_none(tmp_path: Path) -> None:
    found = script("dask_run", tmp_path)
    assert found["jobs"] == [["done", 1]] * 6 + [["failed", 1], ["diverged", 1]]
    assert len(found["before"]) == len(found["after"]) == 2
    assert found["before"] != found["after"]  # another worker took the place of the killed one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["jobs"]


def test_stopping_lets_running_jobs_save_and_begins_no_other(tmp_path: Path) -> None:
    assert script("dask_stop", tmp_path) == {
        "states": ["interrupted", "pending", "pending"],
        "left": ["jobs"],
    }


def test_work_is_a_job_by_its_fields(tmp_path: Path) -> None:
    one = job(4)
    fields = {key: value for key, value in one.as_dict().items() if key != "schema"}
    assert Job(**fields) == one
    assert work(fields, str(tmp_path), PROGRAM, 1, "stop") == "done"
    (tmp_path / "stop").touch()
    fields["id"] = "f" * 16
    assert work(fields, str(tmp_path), PROGRAM, 1, "stop") == "pending"


def test_a_scheduler_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no such file; 'dask scheduler --scheduler-file"):
        with connect(f"file:{tmp_path}/none.json", 1):
            pass


def test_one_worker_per_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert default_workers() == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert default_workers() >= 1
