"""`lrnn reconstruct-ct` stopped by a signal and taken up again."""

import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from lrnn_cli.numerics.phantoms import Ellipse, raster
from tests.cli.conftest import TIMEOUT_S, Lrnn, Program, Run

SHAPES = (Ellipse(0.5, 0.6, 0.7), Ellipse(0.4, 0.15, 0.25, 0.25, 0.1))
STEPS = 150
LONG = (
    "--views", 8, "--steps", STEPS, "--params", 300, "--engine", "fused", "--batch-points", 200, "--method",
    "lrnn,fbp,tv,siren", "--threads", 1,
)  # fmt: skip


@pytest.fixture(scope="module")
def whole(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("ct-whole")
    np.save(folder / "disc.npy", raster(SHAPES, 24))
    done = program("reconstruct-ct", "disc.npy", *LONG, "-o", "run", "--json", "-q", cwd=folder)
    assert done.code == 0, done.err
    return Run(folder / "disc.npy", folder / "run", done)


def images(folder: Path) -> dict[str, np.ndarray]:
    with np.load(folder / "output.slices.npz") as file:
        return {name: file[name] for name in file.files}


@pytest.mark.parametrize(
    ("stop_at", "number", "code", "there"),
    [
        ("10 %", signal.SIGTERM, 143, {"lrnn", "fbp", "tv"}),
        ("60 %", signal.SIGINT, 130, {"lrnn", "fbp", "tv", "siren"}),
    ],
)
def test_a_stopped_run_is_resumed_to_the_very_same_slices(
    whole: Run, lrnn: Lrnn, stop_at: str, number: int, code: int, there: set[str]
) -> None:
    flags = ("reconstruct-ct", whole.image, *LONG, "-o", "run", "--json")
    running = lrnn.start(*flags)
    running.wait_for(stop_at)
    running.send(number)
    done = running.finish()
    run = lrnn.folder / "run"
    assert done.code == code, done.err
    assert done.err.splitlines()[-1].startswith("lrnn: interrupted: stopped and saved; --resume with")
    record = json.loads((run / "metrics.json").read_text())
    assert record == done.json()
    assert (record["status"], record["train"]["outcome"]) == ("interrupted", "interrupted")
    assert set(record["methods"]) == there
    last = "lrnn" if "siren" not in there else "siren"
    assert record["chosen"][last]["outcome"] == "interrupted"
    assert 0 < record["chosen"][last]["steps"] < STEPS
    assert (run / "resume" / "state.safetensors").is_file() and (run / "output.tif").is_file()

    lrnn(*flags).refused(3, "holds an unfinished run; --resume continues it; --force overwrites it")
    lrnn(*flags, "--seed", 1, "--resume").refused(3, "another input or configuration")

    again = lrnn(*flags, "--resume", "-q")
    assert again.code == 0, again.err
    assert again.json()["status"] == "ok" and not (run / "resume").exists()
    expected, found = images(whole.folder), images(run)
    assert list(expected) == list(found)
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    for name in ("output.npy", "checkpoint.safetensors", "checkpoint-siren.safetensors"):
        assert (run / name).read_bytes() == (whole.folder / name).read_bytes(), name
    for name, one in whole.metrics["methods"].items():
        mine = again.json()["methods"][name]
        assert {**mine, "seconds": 0} == {**one, "seconds": 0}
    log = [json.loads(line) for line in (run / "train.jsonl").read_text().splitlines()]
    assert [record["event"][:4] for record in log if record["method"] == "tv"] == ["tv: "]
    for name in ("lrnn", "siren"):
        steps = [record["step"] for record in log if record["method"] == name and record["step"]]
        assert steps == sorted(steps) and steps[-1] == STEPS

    # done is done: --resume has nothing left to do
    assert lrnn(*flags, "--resume", "-q").json() == again.json()


def test_a_run_stopped_before_any_method_was_done(whole: Run, lrnn: Lrnn) -> None:
    sirt = ("--method", "sirt", "--iterations", 10**7, "--views", 8)
    running = lrnn.start("reconstruct-ct", whole.image, *sirt, "-o", "run", "-v")
    until = time.monotonic() + TIMEOUT_S
    while not (lrnn.folder / "run" / "config.yaml").exists():
        assert time.monotonic() < until
        time.sleep(0.02)
    running.send(signal.SIGINT)
    done = running.finish()
    assert done.code == 130, done.err
    record = json.loads((lrnn.folder / "run" / "metrics.json").read_text())
    assert (record["status"], record["methods"], record["metrics"]["method"]) == ("interrupted", {}, None)
    assert "no method done" in done.out
