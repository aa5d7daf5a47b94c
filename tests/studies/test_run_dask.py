"""Jobs on dask.distributed, in processes of their own: a killed worker costs no job and doubles none."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from distributed.scheduler import KilledWorker

from lrnn_cli import __version__
from lrnn_cli.errors import DeviceError, OutputError
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.run_dask import check_workers, connect, default_workers, run_on, work
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
    assert work([fields], str(tmp_path), PROGRAM, 1, "stop") == ["done"]
    (tmp_path / "stop").touch()
    fields["id"] = "f" * 16
    assert work([fields], str(tmp_path), PROGRAM, 1, "stop") == ["pending"]


def test_a_scheduler_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="no such file; 'dask scheduler --scheduler-file"):
        with connect(f"file:{tmp_path}/none.json", 1):
            pass


class Client:
    """Answers as a cluster would."""

    def __init__(self, answers: dict | None = None, threads: dict | None = None, future: Any = None) -> None:
        self.answers, self.threads, self.future = answers or {}, threads or {}, future

    def wait_for_workers(self, n: int, timeout: float) -> None:
        if not self.answers:
            raise TimeoutError

    def run(self, function: Any, *words: str, on_error: str) -> dict:
        assert function(*words) == __version__
        return self.answers

    def nthreads(self) -> dict:
        return self.threads

    def submit(self, *args: Any, **options: Any) -> Any:
        return self.future

    def cancel(self, futures: list) -> None:
        pass


def test_workers_without_lrnn_or_with_another_one_are_refused() -> None:
    said: list[str] = []
    check_workers(Client({"tcp://a:1": __version__}), "tcp://s:1", 0.1, said.append)
    assert said == []
    check_workers(Client(), "tcp://s:1", 0.1, said.append)
    assert said == ["scheduler tcp://s:1 has no worker yet: waiting for one; 'dask worker' starts it"]
    lost = {"tcp://a:1": __version__, "tcp://b:1": ModuleNotFoundError("No module named 'lrnn_cli'")}
    with pytest.raises(DeviceError, match=r"worker tcp://b:1 cannot run lrnn \(No module named 'lrnn_cli'\)"):
        check_workers(Client(lost), "tcp://s:1", 0.1, said.append)
    with pytest.raises(
        DeviceError, match=r"worker tcp://a:1 has lrnn 9\.9, this is .*; install the same version"
    ):
        check_workers(Client({"tcp://a:1": "9.9"}), "tcp://s:1", 0.1, said.append)


class Future:
    """A task, which ended unless it waits."""

    def __init__(self, result: Any = None, error: BaseException | None = None, waiting: bool = False) -> None:
        self.found, self.error, self.waiting = result, error, waiting
        self.status = "error" if error else "finished"

    def done(self) -> bool:
        return not self.waiting

    def exception(self) -> BaseException | None:
        return self.error

    def result(self) -> Any:
        return self.found


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("distributed.wait", lambda futures, **options: None)


@pytest.mark.usefixtures("ended")
def test_what_a_worker_could_not_do_is_said(tmp_path: Path) -> None:
    def outcome(future: Any) -> list[str]:
        client = Client(threads={"tcp://a:1": 1}, future=future)
        return [str(state) for _, state in run_on(client, [[job(1)]], tmp_path, lambda: False)]

    with pytest.raises(DeviceError, match=r"a worker cannot do job 0+1: TypeError: no such field"):
        outcome(Future(error=TypeError("no such field")))
    with pytest.raises(OutputError, match="disk is full"):
        outcome(Future(error=OutputError("the disk is full")))
    with pytest.raises(DeviceError, match="must lie on a file system that all workers share; -d chooses it"):
        outcome(Future(result=["done"]))
    assert outcome(Future(error=KilledWorker("lrnn-1", None, 5))) == ["failed"]
    assert job(1).folder(tmp_path).complaint() == "6 workers were lost with it"


@pytest.mark.usefixtures("ended")
def test_jobs_do_not_wait_for_workers_that_are_gone(tmp_path: Path) -> None:
    waiting = Future(waiting=True)
    client = Client(threads={"tcp://a:1": 1}, future=waiting)
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        client.threads = {}
        return False

    with pytest.raises(
        DeviceError, match=r"all workers of the cluster are gone, and none came back within 0 s"
    ):
        list(run_on(client, [[job(1)]], tmp_path, stop, lost_s=0.0))
    assert asked
    # asked to stop, and nobody there who could
    assert list(run_on(Client(future=waiting), [[job(1)]], tmp_path, lambda: True)) == []


def test_one_worker_per_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    assert default_workers() == 3
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert default_workers() >= 1
