"""Memory that runs out in the middle of a run: smaller blocks, and the same weights as if chosen."""

import json
from pathlib import Path

import pytest
import torch

from lrnn_cli.cli.app import main
from lrnn_cli.models.lrnn import Lrnn as Model
from tests.cli.conftest import SMALL, Run

ENOUGH_POINTS = 40  # the 432 points of the picture are halved to 27


def limit_memory(monkeypatch: pytest.MonkeyPatch, points: int) -> None:
    features = Model.features

    def limited(self: Model, coords: torch.Tensor) -> torch.Tensor:
        if len(coords) > points:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: not enough memory")
        return features(self, coords)

    monkeypatch.setattr(Model, "features", limited)


def test_a_run_goes_on_with_smaller_blocks(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    flags = ["fit-image", str(finished.image), *map(str, SMALL), "--engine", "fused", "--threads", "1"]
    assert main([*flags, "-o", str(tmp_path / "chosen"), "--block-points", "27", "-q"]) == 0
    limit_memory(monkeypatch, ENOUGH_POINTS)
    capsys.readouterr()
    assert main([*flags, "-o", str(tmp_path / "forced"), "--lstsq", "start,end"]) == 0
    assert main([*flags, "-o", str(tmp_path / "trained"), "--lstsq", "none"]) == 0
    assert "out of memory: blocks of 27 points from here on" in capsys.readouterr().err

    record = json.loads((tmp_path / "trained" / "metrics.json").read_text())
    assert (record["train"]["block_points"], record["train"]["out_of_memory"]) == (27, 1)
    chosen, forced = (
        (tmp_path / name / "checkpoint.safetensors").read_bytes() for name in ("chosen", "forced")
    )
    assert chosen == forced
    assert main(["render", str(tmp_path / "trained"), "-q"]) == 0


def test_when_nothing_helps_the_error_says_what_would(
    finished: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    limit_memory(monkeypatch, 0)
    flags = ["fit-image", str(finished.image), *map(str, SMALL), "-o", str(tmp_path / "run")]
    monkeypatch.setattr("lrnn_cli.tasks.regression._memory_mb", lambda *_: 0.0)
    assert main(flags) == 4
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith(
        "lrnn: error: out of memory on cpu even with blocks of 27 points; use a smaller model"
    )
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]
