"""Where the program reads and writes: empty names, odd names, what lies there already, stdin and stdout."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lrnn_cli.cli.app import main
from lrnn_cli.cli.fitting import expand
from lrnn_cli.cli.stdin import read_stdin
from lrnn_cli.errors import InputError, OutputError
from lrnn_cli.runs.folder import OUTPUT_SUFFIXES, RunFolder, atomic_write
from lrnn_cli.signals.audio_write import SUFFIXES as SOUNDS
from lrnn_cli.signals.image_write import output_suffix
from tests.cli.conftest import Lrnn, Run
from tests.conftest import program_env

LONG_NAME = "a" * 300 + ".png"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        (("fit-image", "a.png", "-o", "", "--force"), " after -o"),
        (("fit-audio", "a.wav", "--output="), " in --output="),
        (("fit-image", ""), " after fit-image"),
        (("reconstruct-ct", "--sinogram", ""), " after --sinogram"),
        (("study", "plan", "s.yaml", "-i", ""), " after -i"),
        (("compare", ""), " after compare"),
        (("",), ""),
    ],
)
def test_an_empty_word_is_no_folder(
    words: tuple[str, ...], where: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(list(words)) == 2
    expected = f"lrnn: error: an empty word{where}: expected a value; is a variable of the shell not set?\n"
    assert capsys.readouterr().err == expected


def test_force_overwrites_files_of_a_run_alone(lrnn: Lrnn, finished: Run) -> None:
    run = lrnn.folder / "run"
    (run / "output.d").mkdir(parents=True)
    for name in ("output.txt", "output.csv", "notes.md", "output.png"):
        (run / name).write_text(name)
    flags = ("fit-image", finished.image, "--rank", 3, "--steps", 1, "-q", "-o", "run")
    lrnn(*flags).refused(3, "holds a run already")  # output.png may be one
    done = lrnn(*flags, "--force")
    assert done.code == 0, done.err
    assert (run / "output.d").is_dir() and (run / "output.png").read_bytes()[:4] == b"\x89PNG"
    assert [(run / name).read_text() for name in ("output.txt", "output.csv", "notes.md")] == [
        "output.txt", "output.csv", "notes.md",
    ]  # fmt: skip


def test_foreign_files_are_no_run(tmp_path: Path) -> None:
    (tmp_path / "output.csv").touch()
    (tmp_path / "output.d").mkdir()
    folder = RunFolder(tmp_path)
    assert not folder.occupied()
    folder.claim(force=False, resume=False)
    (tmp_path / "output.u16.png").touch()
    assert folder.occupied()
    folder.claim(force=True, resume=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output.csv", "output.d"]


def test_a_folder_of_the_outputs_name_is_told_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "output.png").mkdir()
    with pytest.raises(OutputError, match=r"cannot write .*output\.png: "):
        RunFolder(tmp_path).claim(force=True, resume=False)


def test_every_suffix_that_is_written_is_known() -> None:
    """JPEG is read only: its fits are PNG files."""
    pictures = {output_suffix(container) for container in ("PNG", "WebP", "BMP", "TIFF")}
    assert pictures | set(SOUNDS.values()) <= set(OUTPUT_SUFFIXES)


def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for content in (b"new", b"again"):  # the first time it dangles
        atomic_write(tmp_path / "link", content)
        assert (tmp_path / "link").is_symlink()
        assert (tmp_path / "there" / "file").read_bytes() == content
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_no_file_takes_the_place_of_a_device(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        with pytest.raises(OutputError, match=rf"{name}: it is no regular file; choose another name with -o"):
            atomic_write(tmp_path / name, b"")
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_one_name_that_cannot_be_costs_that_input_alone(lrnn: Lrnn, finished: Run) -> None:
    (lrnn.folder / "empty").mkdir()
    flags = ("--rank", 3, "--steps", 1, "-q", "-o", "out")
    done = lrnn("fit-image", LONG_NAME, "empty", finished.image, *flags)
    assert done.code == 6 and done.out.startswith(f"{finished.image}: ")
    assert done.err.splitlines() == [
        f"lrnn: error: {LONG_NAME}: File name too long",
        "lrnn: error: empty: a folder without files of a known kind (.png .jpg .jpeg .webp .bmp .tif .tiff)",
        "lrnn: warning: 2 of 3 inputs failed",
    ]
    lrnn("fit-image", LONG_NAME, *flags).refused(3, "File name too long")


def test_a_folder_that_cannot_be_read_is_reported_in_its_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").mkdir()

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", refuse)
    assert expand(["a.png", "secret"], (".png",)) == ["a.png", "secret"]
    with pytest.raises(PermissionError):
        expand(["secret"], (".png",))


def test_closed_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    for words in (("fit-image", "-"), ("reconstruct-ct", "-", "--method", "fbp")):
        assert main([*words, "--steps", "1", "-o", "run"]) == 3
        err = capsys.readouterr().err
        assert err == "lrnn: error: -: stdin is closed; send the file through a pipe, or give its name\n"


def test_unreadable_stdin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with open(tmp_path / "file", "wb") as written:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(written))
        with pytest.raises(InputError, match=r"^-: cannot read stdin \("):
            read_stdin()
        sys.stdin.detach()


def test_the_version_without_stdout() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -m lrnn_cli --version >&-', sys.executable],
        stderr=subprocess.PIPE, env=program_env(), encoding="utf-8", timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (
        3, "lrnn: error: cannot write the version: stdout is closed\n",
    )  # fmt: skip
