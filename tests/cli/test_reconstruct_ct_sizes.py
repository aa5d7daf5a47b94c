"""`lrnn reconstruct-ct`: what the record says of sizes, and slices that are too large."""

import os
from pathlib import Path

import numpy as np
import pytest

from lrnn_cli.cli.app import main
from tests.cli.conftest import Lrnn, colours, write_png


def test_bytes_are_those_of_the_precision(lrnn: Lrnn) -> None:
    write_png(lrnn.folder / "a.png", colours(16, 16, 1))
    (lrnn.folder / "c.yaml").write_text("fit: {precision: float64, steps: 2}\n")
    words = ["--method", "lrnn", "--rank", 4, "--views", 4, "--threads", 1, "-c", "c.yaml", "--json", "-q"]
    record = lrnn("reconstruct-ct", "a.png", *words, "-o", "run").json()
    assert record["train"]["precision"] == "float64"
    assert record["model"]["bytes"] == 8 * record["model"]["params"]
    assert f"({record['model']['bytes']} bytes, float64)" in lrnn("info", "run").out


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (MemoryError(), 4, "--size 24: too large for the memory; use a smaller --size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 4, "--size 24: too large"),
        (RuntimeError("something else"), 1, "RuntimeError: something else"),
    ],
)
def test_a_slice_too_large_for_the_memory(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    words: str,
) -> None:
    def exhausted(*_: object) -> None:
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lrnn_cli.tasks.reconstruct_ct.CtTask", exhausted)
    np.save("s.npy", np.ones((12, 35)))
    args = ["--sinogram", "s.npy", "--angles", "0:180:12", "--size", "24", "--method", "fbp", "-o", "run"]
    assert main(["reconstruct-ct", *args]) == code
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and words in err
    assert os.listdir() == ["s.npy"]
