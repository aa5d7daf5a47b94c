"""Runs that are stopped, killed and taken up again: what is left behind, and that the result is the same."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image
from safetensors import safe_open

from tests.cli.conftest import Lrnn, Run
from tests.conftest import program_env

# Batches are a part of the picture, so that the order of the points is a part of the state.
LONG = ("--rank", 6, "--dbar", 2, "--depth", 2, "--steps", 150, "--batch-points", 100, "--optimizer", "nadam")
FILES = ["checkpoint.safetensors", "config.yaml", "metrics.json", "output.png", "preview.png", "train.jsonl"]
STATE = ["resume/state.safetensors", "resume/train.jsonl"]


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_terminated_run_is_resumed_to_the_very_same_weights(
    lrnn: Lrnn, finished: Run, tmp_path: Path
) -> None:
    whole = lrnn("fit-image", finished.image, *LONG, "-o", "whole", "-q", "--json", "--threads", 1).json()

    flags = ("fit-image", finished.image, *LONG, "-o", "run", "--json")
    running = lrnn.start(*flags)
    running.wait_for("20 %")
    running.send(signal.SIGTERM)
    done = running.finish()
    assert done.code == 143
    assert done.err.splitlines()[-1].startswith("lrnn: interrupted: stopped and saved; --resume with")
    record = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert record == done.json()
    assert (record["status"], record["train"]["outcome"]) == ("interrupted", "interrupted")
    assert 30 <= record["train"]["steps"] < 150
    assert files(tmp_path / "run") == sorted(FILES + STATE)

    # what is there can be used, but is not mistaken for a result
    assert lrnn("render", "run", "-q").code == 0
    lrnn(*flags).refused(3, "holds an unfinished run; --resume continues it; --force overwrites it")
    lrnn(*flags, "--seed", 1, "--resume").refused(3, "another input, configuration or number of parameters")

    state = tmp_path / "run" / "resume" / "state.safetensors"
    good = state.read_bytes()
    state.write_bytes(good[:-100])
    lrnn(*flags, "--resume").refused(3, "state.safetensors", "truncated")
    state.write_bytes(good)

    again = lrnn(*flags, "--resume", "-q").json()
    assert again["status"] == "ok"
    assert again["train"]["loss_final"] == whole["train"]["loss_final"]
    checkpoints = [(tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("whole", "run")]
    assert checkpoints[0] == checkpoints[1]
    assert files(tmp_path / "run") == sorted([*FILES, "render-24x18.png"])
    log = (tmp_path / "run" / "train.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in log]
    assert steps == sorted(steps)
    assert steps[-1] == 150

    # done is done: --resume has nothing left to do
    assert lrnn(*flags, "--resume").json() == again


def test_ctrl_c_stops_the_real_command(finished: Run, tmp_path: Path) -> None:
    args = ["fit-image", finished.image, *LONG[:-1], "adam", "--time", "60s", "--steps", 10**9, "-o", "run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lrnn_cli", *map(str, args)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env=program_env(),
        encoding="utf-8",
    )
    until = time.monotonic() + 60
    while not (tmp_path / "run" / "config.yaml").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert len(out.splitlines()) == 1
    assert "stopping after this step; the same signal again aborts at once" in err
    assert "Traceback" not in err
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["status"] == "interrupted"


def test_a_stopped_batch_begins_no_further_input(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    copy = tmp_path / "second.png"
    copy.write_bytes(finished.image.read_bytes())
    running = lrnn.start("fit-image", finished.image, copy, *LONG, "-o", "out")
    running.wait_for("10 %")
    running.send(signal.SIGINT)
    done = running.finish()
    assert (done.code, len(done.out.splitlines())) == (130, 1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["waves"]


def test_nothing_is_kept_of_a_stopped_run_to_stdout(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    running = lrnn.start("fit-image", finished.image, *LONG, "-o", "-")
    running.wait_for("10 %")
    running.send(signal.SIGTERM)
    done = running.finish()
    assert done.code == 143
    assert done.raw.startswith(b"\x89PNG")  # as far as it got
    assert done.err.splitlines()[-1] == "lrnn: interrupted: stopped"
    assert list(tmp_path.iterdir()) == []


def readable(path: Path) -> None:
    if path.suffix == ".png":
        with Image.open(path) as image:
            image.load()
    elif path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            assert file.keys()
    elif path.suffix == ".json":
        assert json.loads(path.read_text())["status"] == "ok"
    elif path.suffix == ".jsonl":
        assert all(json.loads(line) for line in path.read_text().splitlines())
    else:
        assert path.read_text().endswith("\n")


# Six files in this order; of each four moments: before and after the sync, before and after the rename.
ORDER = ["config.yaml", "checkpoint.safetensors", "output.png", "preview.png", "train.jsonl", "metrics.json"]


@pytest.mark.parametrize("moment", [1, 4, 7, 10, 15, 19, 21, 23, 24])
def test_a_killed_run_leaves_whole_files_only(lrnn: Lrnn, finished: Run, tmp_path: Path, moment: int) -> None:
    flags = ("fit-image", finished.image, "--rank", 3, "--steps", 1, "-q", "-o", "run")
    assert lrnn(*flags, kill_at=moment).code == -signal.SIGKILL
    run = tmp_path / "run"
    left = [path for path in run.iterdir() if not path.name.startswith(".")]
    assert sorted(path.name for path in left) == sorted(ORDER[: moment // 4])
    for path in left:
        readable(path)
    if moment == 24:
        assert lrnn(*flags, "--skip-existing").out == f"{finished.image}: done already -> run\n"
    elif moment in (7, 23):
        assert lrnn("info", run).code == (0 if moment == 23 else 3)
        assert lrnn(*flags, "--force").code == 0
        assert files(run) == sorted(ORDER)  # no temporary file either


def test_a_run_killed_in_the_middle_can_be_resumed(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    flags = ("fit-image", finished.image, *LONG, "-o", "run", "-q")
    running = lrnn.start("fit-image", finished.image, *LONG, "-o", "run")
    running.wait_for("10 %")
    os.kill(running.pid, signal.SIGKILL)
    assert running.finish().code == -signal.SIGKILL
    assert files(tmp_path / "run") == ["config.yaml"]
    assert lrnn(*flags, "--resume").code == 0  # from the beginning: no state was saved in the first seconds
    assert files(tmp_path / "run") == sorted(FILES)


def test_a_run_killed_after_a_save_goes_on_to_the_very_same_weights(
    lrnn: Lrnn, finished: Run, tmp_path: Path
) -> None:
    """No signal is heard: what counts is the copy of the state that was written in time."""
    flags = ("fit-image", finished.image, *LONG, "-q", "--threads", 1)
    assert lrnn(*flags, "-o", "whole").code == 0
    running = lrnn.start(*flags[:-3], "-o", "run", "--threads", 1, save_every_s=0.0)
    running.wait_for("40 %")
    os.kill(running.pid, signal.SIGKILL)
    assert running.finish().code == -signal.SIGKILL
    left = files(tmp_path / "run")
    assert set(STATE) <= set(left) and "checkpoint.safetensors" not in left
    resumed = lrnn(*flags, "-o", "run", "--resume", "-q", "--json").json()
    assert resumed["train"]["steps"] == 150
    one, two = ((tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("whole", "run"))
    assert one == two
    assert files(tmp_path / "run") == sorted(FILES)
