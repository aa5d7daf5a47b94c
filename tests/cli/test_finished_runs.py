"""What is asked of a folder in which a run has ended: it counts as done only for the very same question."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Lrnn, Run

SMALL = ("--rank", 3, "--steps", 2, "-q")


@pytest.fixture
def done(lrnn: Lrnn, finished: Run, tmp_path: Path) -> Path:
    """A folder with a finished run of the small picture."""
    assert lrnn("fit-image", finished.image, *SMALL, "-o", "run").code == 0
    return tmp_path / "run"


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another picture."""
    path = tmp_path / "other.png"
    Image.fromarray(np.arange(400, dtype=np.uint8).reshape(20, 20) % 251).save(path)
    return path


@pytest.mark.parametrize("flag", ["--resume", "--skip-existing"])
def test_the_same_run_is_done_already(lrnn: Lrnn, finished: Run, done: Path, flag: str) -> None:
    again = lrnn("fit-image", finished.image, *SMALL, "-o", "run", flag)
    assert (again.code, again.out) == (0, f"{finished.image}: done already -> run\n")


@pytest.mark.parametrize("flag", ["--resume", "--skip-existing"])
def test_another_input_is_not_done(lrnn: Lrnn, done: Path, other: Path, flag: str) -> None:
    before = (done / "metrics.json").read_bytes()
    words = ("holds a finished run of another input", "--force", "-o")
    lrnn("fit-image", other, *SMALL, "-o", "run", flag).refused(3, *words)
    assert (done / "metrics.json").read_bytes() == before


def test_other_settings_are_not_resumed(lrnn: Lrnn, finished: Run, done: Path) -> None:
    more = lrnn("fit-image", finished.image, "--rank", 3, "--steps", 9, "-q", "-o", "run", "--resume")
    more.refused(3, "a finished run with other settings", "nothing is left to resume")


def test_other_settings_are_skipped_and_said(lrnn: Lrnn, finished: Run, done: Path) -> None:
    again = lrnn("fit-image", finished.image, "--rank", 4, "--steps", 2, "-q", "-o", "run", "--skip-existing")
    assert (again.code, again.out) == (0, f"{finished.image}: done already, with other settings -> run\n")


def test_a_failed_run_is_not_resumed_over(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    diverging = (*SMALL[:2], "--steps", 60, "--lr", "1e6", "--no-guard", "-q", "-o", "run")
    assert lrnn("fit-image", finished.image, *diverging).code == 5
    kept = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    again = lrnn("fit-image", finished.image, *SMALL, "-o", "run", "--resume")
    again.refused(3, "a run that ended (failed): nothing to resume", "--force")
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == kept


def test_a_damaged_record_is_not_resumed_over(lrnn: Lrnn, finished: Run, done: Path) -> None:
    (done / "metrics.json").write_text("{")
    again = lrnn("fit-image", finished.image, *SMALL, "-o", "run", "--resume")
    again.refused(3, "a run that ended (metrics.json is damaged)")


def test_a_run_killed_before_its_first_state_starts_anew(lrnn: Lrnn, finished: Run, done: Path) -> None:
    for name in ("metrics.json", "checkpoint.safetensors"):
        (done / name).unlink()
    shutil.rmtree(done / "resume", ignore_errors=True)
    assert lrnn("fit-image", finished.image, *SMALL, "-o", "run", "--resume").code == 0


def test_a_model_larger_than_the_memory(lrnn: Lrnn, finished: Run) -> None:
    for flags in (("--rank", 10_000_000), ("--rank", 10_000_000, "--dry-run")):
        done = lrnn("fit-image", finished.image, *flags, "-q", "-o", "large")
        done.refused(4, "this machine has", "--params")


def test_help_is_free_of_pictures(lrnn: Lrnn) -> None:
    shown = lrnn("fit-image", "--help").out
    assert "step:EVERY:FACTOR" in shown.replace("\n", "") or "step:EVERY" in shown
    assert all(ord(letter) < 0x1F000 for letter in shown)
