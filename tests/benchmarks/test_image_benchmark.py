"""The benchmark of a photograph: rows that are kept are rows of the same question."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import image, machine


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    here = {"processor": "one", "env": {"git": "now"}}
    monkeypatch.setattr(image, "RESULTS", tmp_path)
    monkeypatch.setattr(machine, "RESULTS", tmp_path)
    monkeypatch.setattr(image, "machine", lambda: here)

    def run(picture: str, *options: str) -> dict[str, Any]:
        reached = dict.fromkeys(map(str, image.LEVELS_DB))
        return {"options": list(options), "psnr_db": 33.0, "reached": reached}

    monkeypatch.setattr(image, "run", run)
    monkeypatch.setattr(image, "searched", lambda model: [])
    record = {"image": "p.png", "time_s": 60.0, "params": "200k", "rows": {"finer": {
        "options": [], "psnr_db": 30.0, "seconds_to": {"35": None}}}, "machine": here,
        "runs": [{"options": ["--params", "200k", "--time", "60.0s", "--model", "lrnn", "--seed", "0"],
                  "psnr_db": 44.0, "reached": dict.fromkeys(map(str, image.LEVELS_DB))}]}  # fmt: skip
    (tmp_path / "image_p.json").write_text(json.dumps(record))
    return tmp_path / "image_p.json"


def only(monkeypatch: pytest.MonkeyPatch, *words: str) -> None:
    monkeypatch.setattr("sys.argv", ["image", "--only", "lrnn", "--seeds", "1", *words])
    image.main()


def test_one_row_anew_keeps_the_others(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, "--image", "p.png")
    rows = json.loads(stored.read_text())["rows"]
    assert {name: row["psnr_db"] for name, row in rows.items()} == {
        "finer": 30.0, "lrnn": {"median": 44.0, "min": 44.0, "max": 44.0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--image", "p.png", "--time", "15"), "time_s 60.0, params 200k; image p.png, time_s 15.0"),
        (("--image", "p.png", "--params", "20k"), "params 200k; image p.png, time_s 60.0, params 20k"),
        (("--image", "other/p.png"), r"image p\.png, .*; image other/p\.png"),
    ],
)
def test_rows_of_another_budget_are_not_kept(
    stored: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], told: str
) -> None:
    before = stored.read_text()
    with pytest.raises(
        SystemExit, match=rf"--only: image_p\.json has rows of other runs than these .*{told}"
    ):
        only(monkeypatch, *words)
    assert stored.read_text() == before


def test_runs_of_another_picture_of_that_name_are_not_taken(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert image.Runs("p.png", 60.0, "200k").get(["--model", "lrnn"], 0)["psnr_db"] == 44.0
    assert image.Runs("other/p.png", 60.0, "200k").get(["--model", "lrnn"], 0)["psnr_db"] == 33.0
