"""`lrnn info`: for programs, for people, and for a checkpoint that has lost its run."""

import contextlib
import json
import os
import pty
import re
from pathlib import Path

import numpy as np
import pytest

from tests.cli.checkpoints import rewritten
from tests.cli.conftest import Lrnn, Run


def test_the_record_holds_all_there_is(lrnn: Lrnn, finished: Run) -> None:
    done = lrnn("info", finished.folder, "--json")
    assert (done.code, done.err) == (0, "")
    record = done.json()
    assert record["run"] == finished.metrics
    assert record["model"]["params"] == finished.metrics["model"]["params"] == 237
    assert record["model"]["config"] == finished.metrics["model"]["config"]
    assert record["signal"]["shape"] == [18, 24, 3]
    assert record["signal"]["channels"] == ["R", "G", "B"]
    assert record["evaluation"]["engine"] == finished.metrics["train"]["engine"]
    assert [(layer["neurons"], layer["factors"]) for layer in record["layers"]] == [(6, 12), (6, 12)]
    for layer in record["layers"]:
        assert 0 < layer["smallest"] <= layer["median"] <= layer["largest"]
        assert (layer["factors_near_zero"], layer["neurons_near_zero"]) == (0, 0)


def test_off_a_terminal_it_is_plain_and_whole(lrnn: Lrnn, finished: Run) -> None:
    done = lrnn("info", finished.folder, env={"COLUMNS": "20"})
    assert (done.code, done.err) == (0, "")
    assert "\x1b" not in done.out
    assert finished.metrics["metrics"]["convention"] in done.out  # a long line, not cut
    lines = done.out.splitlines()
    assert lines[0] == str(finished.folder)
    assert "parameters" in lines[2] and "237 (948 bytes, float32)" in lines[2]
    columns = {line.index(value) for line, value in zip(lines[1:3], ("lrnn", "237"), strict=True)}
    assert len(columns) == 1  # aligned
    assert any(line.startswith("  psnr_db ") for line in lines)
    table = lines[lines.index("relevance") + 1 :]
    assert table[0].split("  ")[-2:] == ["near-zero factors", "near-zero neurons"]
    assert len({len(line) for line in table}) == 1


def test_on_a_terminal_it_is_a_table_for_its_width(lrnn: Lrnn, finished: Run) -> None:
    master, slave = pty.openpty()
    done = lrnn("info", finished.folder, stdout=os.ttyname(slave), env={"NO_COLOR": "1", "COLUMNS": "70"})
    os.close(slave)
    content = b""
    with contextlib.suppress(OSError):  # the end of a terminal that nobody holds any more
        while piece := os.read(master, 2**16):
            content += piece
    os.close(master)
    assert done.code == 0
    text = re.sub(r"\x1b\[[0-9;]*m", "", content.decode())
    assert "relevance" in text
    assert max(len(line) for line in text.splitlines()) <= 70
    assert b"\x1b[1m" in content  # bold
    assert b"\x1b[3" not in content  # no colours


def test_idle_factors_and_neurons_are_counted(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    def change(header: dict, tensors: dict) -> None:
        amplitude = tensors["layers.0.amplitude"]  # (M, D, R)
        assert amplitude.shape == (1, 2, 6)
        amplitude[:] = np.where(amplitude < 0, -1, 1)
        amplitude[0, :, 3] = -0.005  # a neuron without any work
        amplitude[0, 1, 4] = 0.0  # and one with half of it
        amplitude[0, 0, 5] = 0.02

    source = finished.folder / "checkpoint.safetensors"
    (tmp_path / "c.safetensors").write_bytes(rewritten(source, change))
    record = lrnn("info", "c.safetensors", "--json").json()
    first, second = record["layers"]
    assert (first["factors_near_zero"], first["neurons_near_zero"]) == (3, 1)
    assert first["idle_factors"] == [[3, 0], [3, 1], [4, 1]]
    assert first["idle_neurons"] == [3]
    assert (second["factors_near_zero"], second["neurons_near_zero"]) == (0, 0)
    assert second["idle_factors"] == second["idle_neurons"] == []
    gamma = 2**-0.5
    assert first["median"] == first["largest"] == pytest.approx(gamma)
    assert first["smallest"] == 0
    assert record["run"] is None


def test_a_layer_that_is_idle_as_a_whole_is_told(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    def change(header: dict, tensors: dict) -> None:
        tensors["layers.1.amplitude"][:] = 1e-4

    source = finished.folder / "checkpoint.safetensors"
    (tmp_path / "c.safetensors").write_bytes(rewritten(source, change))
    _, second = lrnn("info", "c.safetensors", "--json").json()["layers"]
    assert second["factors_near_zero"] == second["factors"]
    assert second["idle_neurons"] == list(range(second["neurons"]))


def test_other_models_have_no_relevance(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    flags = ("--model", "siren", "--width", 4, "--steps", 1, "-o", "run", "-q")
    assert lrnn("fit-image", finished.image, *flags).code == 0
    assert lrnn("info", "run", "--json").json()["layers"] == []
    assert "relevance" not in lrnn("info", "run").out
    # metrics.json alone is broken: the run is refused, the checkpoint can still be drawn
    (tmp_path / "run" / "metrics.json").write_text("{")
    lrnn("info", "run").refused(3, "run/metrics.json: not readable as JSON")
    assert lrnn("render", "run", "-q").code == 0
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"schema": "other/1"}))
    lrnn("info", "run").refused(3, "expected schema lrnn.metrics/1, got 'other/1'")


def test_control_characters_of_a_header_do_not_reach_the_terminal(
    lrnn: Lrnn, finished: Run, tmp_path: Path
) -> None:
    def change(header: dict, tensors: dict) -> None:
        header["signal"]["name"] = "\x1b]0;title\x07\nsecond line"

    source = finished.folder / "checkpoint.safetensors"
    (tmp_path / "c.safetensors").write_bytes(rewritten(source, change))
    done = lrnn("info", "c.safetensors")
    assert done.code == 0
    assert "\x1b" not in done.out and "\x07" not in done.out
    assert any(line.startswith("  name") and line.endswith("second line") for line in done.out.splitlines())
