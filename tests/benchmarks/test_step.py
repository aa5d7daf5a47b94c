"""One step: every row can be measured, LRNN and SIREN by the same program."""

import json
import subprocess
from typing import Any

import pytest
import torch

from benchmarks import step


@pytest.mark.parametrize("engine", [step.PLAIN, step.BLOCKS])
def test_a_row_is_measured_as_it_is_called(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    blocks: list[int] = []
    trained = step.Trainer._step

    def count(trainer: step.Trainer, seconds: float) -> Any:
        blocks.append(trainer.step)
        return trained(trainer, seconds)

    monkeypatch.setattr(torch, "set_num_threads", lambda n: None)
    monkeypatch.setattr(step, "use_engine", lambda model, name: used.append(name))
    monkeypatch.setattr(step.Trainer, "_step", count)
    found = step.measure(engine, points=64, repeats=1, which="fast")
    assert found["params"] == 198_401
    assert len(blocks) == (0 if engine == step.PLAIN else 2)  # one of them to warm up
    assert used == (["reference"] if engine == step.PLAIN else [])


def test_the_table_has_siren_in_blocks_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    stored: dict[str, Any] = {}

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        engine = command[command.index("--engine") + 1]
        seconds = 4.0 if engine == "plain autograd" else 2.0
        row = {"seconds": dict.fromkeys(("median", "min", "max"), seconds), "extra_mb": 10.0, "params": 9}
        return subprocess.CompletedProcess(command, 0, json.dumps(row), "")

    monkeypatch.setattr(step.subprocess, "run", run)
    monkeypatch.setattr(step, "save", lambda name, record: stored.update({name: record}) or tmp_path)
    monkeypatch.setattr("sys.argv", ["step", "--preset", "fast"])
    step.main()
    assert list(stored["step_fast"]["engines"]) == list(step.ENGINES)
    assert stored["step_fast"]["engines"]["siren, blocks"]["speed_ratio"] == 2.0
    assert "siren, blocks" in capsys.readouterr().out
