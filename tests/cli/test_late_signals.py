"""A signal that comes once the work is done, while its files are written, changes nothing."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lrnn_cli.cli.app import main
from lrnn_cli.numerics.phantoms import Ellipse, raster
from tests.cli.conftest import colours, write_png

FIT = ("--rank", "3", "--steps", "2", "--threads", "1", "-q")
SOLVE = ("--rank", "100", "--omega", "5", "--features", "product", "--threads", "1", "--grid", "9", "-q")
STOP_NOTE = "lrnn: stopping after this step; the same signal again aborts at once\n"


@pytest.fixture
def signal_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Interrupts the program where it enters a function, the first time."""

    def arm(target: str) -> None:
        module, _, name = target.rpartition(".")
        real: Any = getattr(__import__(module, fromlist=[name]), name)
        sent: list[int] = []

        def call(*args: Any, **more: Any) -> Any:
            if not sent:
                sent.append(1)
                os.kill(os.getpid(), signal.SIGINT)
            return real(*args, **more)

        monkeypatch.setattr(target, call)

    return arm


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "b.png"):
        write_png(tmp_path / name, colours(12, 12, 1))


def status(folder: str) -> tuple[str, str]:
    record = json.loads(Path(folder, "metrics.json").read_text())
    return record["status"], record["train"]["outcome"]


def test_a_fit_that_is_done(signal_at: Callable[[str], None], capfd: pytest.CaptureFixture[str]) -> None:
    signal_at("lrnn_cli.runs.execute.encode_fitted")
    assert main(["fit-image", "a.png", *FIT, "-o", "run"]) == 0
    assert status("run") == ("ok", "budget")
    assert capfd.readouterr().err == STOP_NOTE


def test_the_rest_of_a_batch_is_left(
    signal_at: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    signal_at("lrnn_cli.runs.execute.encode_fitted")
    assert main(["fit-image", "a.png", "b.png", *FIT, "-o", "out"]) == 130
    assert status("out/a") == ("ok", "budget")
    assert not Path("out/b").exists()
    assert "stopped and saved; --resume with the same options goes on" in capfd.readouterr().err
    assert main(["fit-image", "a.png", "b.png", *FIT, "-o", "out", "--resume"]) == 0
    assert "a.png: done already" in capfd.readouterr().out
    assert status("out/b") == ("ok", "budget")


def test_a_reconstruction_that_is_done(
    signal_at: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    np.save("disc.npy", raster((Ellipse(0.5, 0.6, 0.7),), 16))
    signal_at("lrnn_cli.runs.reconstruct.encode_fitted")
    words = (
        "--method",
        "lrnn,fbp",
        "--views",
        "6",
        "--params",
        "300",
        "--prior",
        "none",
        "--engine",
        "fused",
    )
    assert main(["reconstruct-ct", "disc.npy", *words, *FIT[2:], "-o", "run"]) == 0
    assert status("run") == ("ok", "budget")
    assert capfd.readouterr().err == STOP_NOTE


def test_a_solution_that_is_there(
    signal_at: Callable[[str], None], capfd: pytest.CaptureFixture[str]
) -> None:
    signal_at("lrnn_cli.runs.solve.encode")
    assert main(["solve-poisson", "--f", "1", "--until", "1e-1", *SOLVE, "-o", "run"]) == 0
    assert status("run") == ("ok", "target")
    err = capfd.readouterr().err
    assert err.startswith(STOP_NOTE) and "interrupted" not in err


@pytest.mark.parametrize(
    ("until", "code", "ended"),
    [("1e-1", 0, ("ok", "target")), ("1e-16", 130, ("interrupted", "interrupted"))],
)
def test_a_solution_at_its_target_is_done_whatever_comes(
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    until: str,
    code: int,
    ended: tuple[str, str],
) -> None:
    from lrnn_cli.tasks.solve_poisson import PoissonTask

    real = PoissonTask.steps

    def stopped(task: PoissonTask, should_stop: Callable[[], bool]) -> Iterator[Any]:
        os.kill(os.getpid(), signal.SIGINT)
        yield from real(task, should_stop)

    monkeypatch.setattr(PoissonTask, "steps", stopped)
    assert main(["solve-poisson", "--f", "1", "--until", until, *SOLVE, "-o", "run"]) == code
    assert status("run") == ended
    assert ("the best solution so far is saved" in capfd.readouterr().err) == (code == 130)
