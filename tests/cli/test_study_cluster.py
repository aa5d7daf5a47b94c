"""`lrnn study run --scheduler` on a cluster of its own processes: one that works, and one without lrnn."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Lrnn, colours, write_png
from tests.conftest import program_env

STUDY = """\
name: s
task: fit-image
inputs: a.png
models: [siren, mlp-relu]
settings: {params: 300, steps: 3}
"""
TIMEOUT_S = 60.0

Start = Callable[..., None]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts `dask scheduler` or `dask worker` and waits until it writes that it is ready."""
    running: list[subprocess.Popen[bytes]] = []

    def begin(what: str, *words: str, ready: str, path: str = "") -> None:
        log = tmp_path / f"{what}.log"
        env = program_env({"PYTHONPATH": path} if path else None)
        command = [sys.executable, "-m", f"distributed.cli.dask_{what}", "--no-dashboard", *words]
        with log.open("wb") as file:
            running.append(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=file, stderr=file))
        until = time.monotonic() + TIMEOUT_S
        while ready not in log.read_text():
            assert time.monotonic() < until and running[-1].poll() is None, log.read_text()
            time.sleep(0.05)

    yield begin
    for process in reversed(running):
        process.kill()
        process.wait()


@pytest.fixture
def cluster(start: Start, tmp_path: Path) -> tuple[str, ...]:
    write_png(tmp_path / "a.png", colours(6, 6))
    (tmp_path / "s.yaml").write_text(STUDY)
    start(
        "scheduler",
        "--host",
        "127.0.0.1",
        "--port",
        "0",
        "--scheduler-file",
        "cluster.json",
        ready="Scheduler at",
    )
    return ("--scheduler-file", "cluster.json", "--nthreads", "1", "--no-nanny", "--host", "127.0.0.1")


def test_a_worker_of_a_cluster_does_the_jobs(lrnn: Lrnn, start: Start, cluster: tuple[str, ...]) -> None:
    start("worker", *cluster, ready="Registered to")
    done = lrnn("study", "run", "s.yaml", "--scheduler", "file:cluster.json", "--stack", 2)
    assert (done.code, done.out) == (0, "s: 2 jobs: 2 done -> studies/s\n"), done.err


def test_a_worker_without_lrnn_is_told(
    lrnn: Lrnn, start: Start, cluster: tuple[str, ...], tmp_path: Path
) -> None:
    """It would end at the first job, and the jobs would wait for another worker for ever."""
    (tmp_path / "bare" / "lrnn_cli").mkdir(parents=True)
    (tmp_path / "bare" / "lrnn_cli" / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'lrnn_cli'\", name='lrnn_cli')"
    )
    start("worker", *cluster, ready="Registered to", path=str(tmp_path / "bare"))
    lrnn("study", "run", "s.yaml", "--scheduler", "file:cluster.json").refused(
        4, "scheduler file:cluster.json: worker tcp://127.0.0.1:",
        "cannot run lrnn (No module named 'lrnn_cli')", "install lrnn", "in the Python of every worker",
    )  # fmt: skip
    assert not (tmp_path / "studies").exists()
