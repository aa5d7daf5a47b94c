"""The run folder: what is cleared for the next run, and what stays."""

from pathlib import Path

import pytest

from lrnn_cli.errors import OutputError
from lrnn_cli.runs.execute import RunLog
from lrnn_cli.runs.folder import RunFolder
from lrnn_cli.runs.reconstruct import CtFolder, CtLog

OF_A_RUN = [
    "output.png", "output.slices.npz", "checkpoint.safetensors", "checkpoint-siren.safetensors",
    "solution.npz", "solution.csv", "solution.vti", "solution.vtu", "config.yaml", "train.jsonl",
    "preview.png", "metrics.json",
]  # fmt: skip
FOREIGN = ["notes.txt", "solution.txt", ".solution.txt.abcdefgh", ".checkpoint.pt.abcdefgh", ".vimrc"]


@pytest.mark.parametrize(
    "name", ["solution.vti", "checkpoint-siren.safetensors", "output.png", "config.yaml"]
)
def test_a_file_of_any_kind_of_run_occupies_a_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert RunFolder(tmp_path).occupied()
    with pytest.raises(OutputError, match="holds a run already; --force overwrites it"):
        RunFolder(tmp_path).claim(force=False, resume=False)


def test_nothing_of_another_kind_of_run_stays_beside_the_new_one(tmp_path: Path) -> None:
    for name in (*OF_A_RUN, *(f".{name}.abcdefgh" for name in OF_A_RUN), *FOREIGN):
        (tmp_path / name).touch()
    RunFolder(tmp_path).claim(force=True, resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FOREIGN)


def test_what_may_be_somebody_elses_is_not_removed(tmp_path: Path) -> None:
    for name in ("checkpoint-best.safetensors", "solution.csv"):
        (tmp_path / name).touch()
    RunFolder(tmp_path).claim(force=True, resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-best.safetensors", "solution.csv"]


def test_a_finished_run_leaves_no_temporary_files(tmp_path: Path) -> None:
    for name in (".solution.npz.abcdefgh", ".checkpoint-siren.safetensors.abcdefgh", "solution.npz"):
        (tmp_path / name).touch()
    RunFolder(tmp_path).finish()
    assert [path.name for path in tmp_path.iterdir()] == ["solution.npz"]


@pytest.mark.parametrize(
    ("content", "steps"),
    [
        (b'{"step": 1}\n{"step": 2}\n', [1, 2]),
        (b'{"step": 1}\n{"st', [1]),
        (b'{"step": 1}\nnull\n{"step": 3}\n', [1]),
        (b'{"step": 1}\n\xff\n', [1]),
        (b"", []),
        (None, []),
    ],
)
def test_a_damaged_log_is_read_up_to_the_damage(
    tmp_path: Path, content: bytes | None, steps: list[int]
) -> None:
    folder = RunFolder(tmp_path)
    folder.resume.mkdir()
    if content is not None:
        folder.live_log.write_bytes(content)
    assert [record["step"] for record in folder.read_live_log()] == steps
    assert [record["step"] for record in RunLog(folder, 2).records] == [step for step in steps if step <= 2]
    assert [record["step"] for record in CtLog(CtFolder(tmp_path), 1).records] == steps[:1]
