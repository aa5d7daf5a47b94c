"""Several processes on one fit, started by torchrun: the result of one, one voice, one folder."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load_file

from tests.cli.conftest import Lrnn, Run
from tests.conftest import program_env

FIT = (
    "--rank", 6, "--dbar", 2, "--depth", 2, "--steps", 25, "--batch-points", 100, "--precision", "float64",
    "--engine", "fused", "--device", "cpu", "--lstsq", "start,end", "--threads", 1,
)  # fmt: skip
TWO = (sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def torchrun(*args: object, cwd: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*TWO, "-m", "lrnn_cli", *map(str, args)],
        env=program_env(),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
    )


def ours(done: "subprocess.CompletedProcess[str]") -> list[str]:
    """The lines of stderr that the program wrote, without those of torchrun."""
    return re.findall(r"^lrnn(?: \(process \d+\))?: .*", done.stderr, re.MULTILINE)


def test_two_processes_are_one_run(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    done = torchrun("fit-image", finished.image, *FIT, "-o", tmp_path / "two", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)  # of one process
    assert record["train"]["processes"] == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["two"]
    assert record == json.loads((tmp_path / "two" / "metrics.json").read_text())
    alone = lrnn("fit-image", finished.image, *FIT, "-o", tmp_path / "one", "--json")
    assert alone.json()["train"]["processes"] == 1
    for key in ("steps", "outcome", "lr", "batch_points"):
        assert record["train"][key] == alone.json()["train"][key]
    assert record["train"]["loss_final"] == pytest.approx(alone.json()["train"]["loss_final"], rel=1e-7)
    one, two = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name, expected in one.items():
        torch.testing.assert_close(two[name], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit-audio", "fit-function"])
def test_the_other_commands_for_several_processes(lrnn: Lrnn, tmp_path: Path, command: str) -> None:
    soundfile.write(tmp_path / "tone.wav", 0.5 * np.sin(np.arange(2000) / 9.0), 8000)
    source = tmp_path / "tone.wav" if command == "fit-audio" else "x*exp(-y)"
    more = () if command == "fit-audio" else ("--dim", 2)
    done = torchrun(command, source, *more, *FIT, "-o", tmp_path / "two", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    train = json.loads(done.stdout)["train"]
    alone = lrnn(command, source, *more, *FIT, "-o", tmp_path / "one", "--json").json()["train"]
    assert (train["processes"], alone["processes"]) == (2, 1)
    assert train["loss_final"] == pytest.approx(alone["loss_final"], rel=1e-7)


@pytest.mark.slow
def test_two_processes_resume(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    whole = lrnn("fit-image", finished.image, *FIT, "-o", tmp_path / "one", "--json").json()
    started = lrnn.start("fit-image", finished.image, *FIT, "-o", tmp_path / "two", kill_at=12)
    assert started.finish().code != 0
    done = torchrun(
        "fit-image", finished.image, *FIT, "-o", tmp_path / "two", "--resume", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["train"]["loss_final"] == pytest.approx(
        whole["train"]["loss_final"], rel=1e-7
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("solve-poisson",), "solve-poisson runs in one process: start it without torchrun"),
        (
            ("fit-image", "-", "--steps", 5),
            "-: the processes of torchrun cannot share stdin; give the file's name",
        ),
        (("fit-image", "none.png", "--steps", 5), "none.png"),
        (("fit-image", "IMAGE", "--steps", 5, "--lr", -1), "fit.lr"),
        (("fit-image", "IMAGE", "--steps", 5, "-o", "RUN"), "holds a run already; --force overwrites it"),
    ],
    ids=["command", "stdin", "no-file", "option", "folder"],
)
def test_faults_are_told_once(finished: Run, tmp_path: Path, args: tuple[object, ...], words: str) -> None:
    places = {"IMAGE": finished.image, "RUN": finished.folder}
    done = torchrun(*(places.get(str(word), word) for word in args), cwd=tmp_path)
    assert done.returncode != 0
    assert done.stdout == ""
    told = [line for line in ours(done) if line.startswith("lrnn: error: ")]
    assert len(told) == 1, done.stderr
    assert words in told[0]
    assert list(tmp_path.iterdir()) == []
    # the other process may have noticed that the first is gone
    rest = [line for line in ours(done) if line not in told]
    assert all("another process of this run has ended" in line for line in rest), rest


def fake_place(rank: int = 1) -> dict[str, str]:
    return {
        "TORCHELASTIC_RUN_ID": "x", "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank),
        "LOCAL_WORLD_SIZE": "2",
    }  # fmt: skip


def test_only_the_first_process_tells_a_common_fault(lrnn: Lrnn, finished: Run) -> None:
    for rank, silent in ((0, False), (1, True)):
        done = lrnn("fit-image", "none.png", "--steps", 5, env=fake_place(rank))
        assert done.code == 3
        assert (done.err == "") == silent


def test_commands_for_one_process(lrnn: Lrnn) -> None:
    lrnn("render", "x", env=fake_place(0)).refused(2, "render runs in one process: start it without torchrun")


def test_stdin_is_not_shared(lrnn: Lrnn) -> None:
    done = lrnn("fit-image", "-", "--steps", 5, env=fake_place(0), input=b"")
    done.refused(2, "-: the processes of torchrun cannot share stdin; give the file's name")


def test_a_broken_environment(lrnn: Lrnn, finished: Run) -> None:
    done = lrnn("fit-image", finished.image, "--steps", 5, env={**fake_place(0), "RANK": "first"})
    done.refused(2, "torchrun: expected numbers in RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE")
