"""`lrnn fit-image` with bad files, options and disks: exit code, one line on stderr, no half of a file."""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lrnn_cli.signals.png16 import SIGNATURE, chunk
from tests.cli.conftest import SMALL, Lrnn, Run, colours, write_png


def cut(path: Path) -> None:
    whole = write_png(path, colours()).read_bytes()
    path.write_bytes(whole[: len(whole) * 2 // 3])


def cut_jpeg(path: Path) -> None:
    whole = write_png(path.with_suffix(".jpg"), colours(40, 40)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def header_only(width: int, height: int) -> bytes:
    ihdr = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return SIGNATURE + ihdr + chunk(b"IDAT", zlib.compress(bytes(3 * 100))) + chunk(b"IEND", b"")


def with_value(value: float) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        values = np.zeros((4, 5), dtype=np.float32)
        values[1, 2] = value
        tifffile.imwrite(path, values, photometric="minisblack")

    return make


def unreadable(path: Path) -> None:
    if os.geteuid() == 0:  # who may read everything, but for what cannot be read
        path.symlink_to("/proc/self/mem")
    else:
        path.write_bytes(b"secret")
        path.chmod(0)


def socket_file(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the names of sockets are short
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


BAD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "no such file"),
    "empty": (lambda path: path.touch(), "the file is empty (0 bytes)"),
    "text": (lambda path: path.write_text("Hello, world!\n"), "holds text, not an image"),
    "foreign": (lambda path: path.write_bytes(b"GIF89a" + bytes(50)), "GIF files are not supported"),
    "noise": (lambda path: path.write_bytes(bytes(range(128, 256)) * 9), "not an image of a known format"),
    "truncated-png": (cut, "image file is truncated"),
    "truncated-jpeg": (cut_jpeg, "the file is damaged or incomplete"),
    "no-pixels": (lambda path: path.write_bytes(header_only(0, 7)), "0x7"),
    "bomb": (lambda path: path.write_bytes(header_only(60_000, 60_000)), "more than max_pixels=268435456"),
    "too-few-pixels": (lambda path: path.write_bytes(header_only(90, 90)), "damaged"),
    "nan": (with_value(np.nan), "NaN"),
    "infinity": (with_value(np.inf), "infinit"),
    "no-images-inside": (lambda path: path.mkdir(), "a folder without files of a known kind"),
    "dangling-link": (lambda path: path.symlink_to("nowhere"), "no such file"),
    "device": (lambda path: path.symlink_to(os.devnull), "is a device or a socket"),
    "socket": (socket_file, "is a device or a socket"),
    "unreadable": (unreadable, "read"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_a_bad_file_is_named_and_nothing_is_written(lrnn: Lrnn, tmp_path: Path, kind: str) -> None:
    make, words = BAD_FILES[kind]
    path = tmp_path / "bad.png"
    make(path)
    lrnn("fit-image", "bad.png", *SMALL).refused(3, "bad.png: ", words)
    assert not (tmp_path / "runs").exists()


def test_bad_bytes_on_stdin(lrnn: Lrnn, tmp_path: Path) -> None:
    lrnn("fit-image", "-", *SMALL, input=b"").refused(3, "-: the file is empty")
    lrnn("fit-image", "-", *SMALL, "-o", "-", input=b"GIF89a.......").refused(3, "-: GIF files")
    assert list(tmp_path.iterdir()) == []


def test_one_bad_file_does_not_stop_a_batch(lrnn: Lrnn, tmp_path: Path) -> None:
    write_png(tmp_path / "in" / "a.png", colours(4, 4))
    (tmp_path / "in" / "b.png").write_text("text")
    write_png(tmp_path / "in" / "c.png", colours(4, 4))
    (tmp_path / "empty").mkdir()
    said = lrnn("fit-image", "in/a.png", "empty", *SMALL, "-o", "x", "-q").err
    assert "empty: a folder without files of a known kind" in said
    done = lrnn("fit-image", "in", "nothing.png", *SMALL, "-o", "out", "-q")
    assert done.code == 6
    assert [line.split(":")[0] for line in done.out.splitlines()] == ["in/a.png", "in/c.png"]
    bad, missing, count = done.err.splitlines()
    assert bad.startswith("lrnn: error: in/b.png: holds text")
    assert missing.startswith("lrnn: error: nothing.png: no such file")
    assert count == "lrnn: warning: 2 of 4 inputs failed"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a", "c"]
    assert all((tmp_path / "out" / name / "metrics.json").exists() for name in "ac")


YAML = {
    "key.yaml": "model: {omega_frist: 3}\n",
    "group.yaml": "fitt: {steps: 3}\n",
    "list.yaml": "- 1\n",
    "twice.yaml": "fit: {steps: 3, steps: 4}\n",
    "broken.yaml": "fit: {steps: 3\n",
    "code.yaml": "fit: !!python/object/apply:os.system ['touch pwned']\n",
    "binary.yaml": "\0\1\2",
}

BAD_OPTIONS: dict[str, tuple[tuple[object, ...], tuple[str, ...]]] = {
    "omega": (("--omega-first", "1e38"), ("model.omega_first", "less than or equal to 100000")),
    "rank": (("--rank", 0), ("--rank", "greater than or equal to 1")),
    "steps": (("--steps", -1), ("--steps", "'-1' is not a count")),
    "steps-0": (("--steps", 0), ("--steps", "'0' is not a count")),
    "params": (("--params", 10), ("params 10", "lrnn needs at least")),
    "params-and-rank": (("--params", "2k", "--rank", 8), ("exclude each other",)),
    "sigma": (("--sigma", "spdr"), ("model.sigma", "'spdr'", "did you mean 'spder'?")),
    "model": (("--model", "sirn"), ("unknown 'sirn'", "did you mean 'siren'?")),
    "option-of-another-model": (("-m", "siren", "--rank", 8), ("model.rank",)),
    "option": (("--rnk", 8), ("--rnk", "--rank")),
    "set": (("--set", "omega=3"), ("model.omega",)),
    "set-form": (("--set", "omega"), ("--set 'omega': expected key=value",)),
    "lr": (("--lr", -1), ("fit.lr", "greater than 0")),
    "lr-nan": (("--lr", "nan"), ("fit.lr",)),
    "time": (("--time", "soon"), ("--time", "'soon' is not a time")),
    "until": (("--until", "40"), ("until", "40dB")),
    "schedule": (("--schedule", "exp:2"), ("schedule", "exp:2")),
    "lstsq": (("--lstsq", "often"), ("fit.lstsq",)),
    "batch": (("--batch-points", "some"), ("--batch-points", "'some' is no number of points")),
    "seed": (("--seed", -1), ("--seed",)),
    "precision": (("--precision", "half"), ("fit.precision", "'float32'")),
    "device": (("--device", "tpu"), ("device", "got 'tpu'")),
    "engine": (("--engine", "warp"), ("fit.engine", "'warp'")),
    "engine-triton": (
        ("--engine", "triton", "--device", "cpu"),
        ("engine triton: Triton needs an NVIDIA GPU; use --engine auto",),
    ),
    "backward": (("--backward", "fp8"), ("fit.backward", "'fp8'", "'bfloat16'")),
    "backward-of-reference": (
        ("--engine", "reference", "--backward", "bfloat16"),
        ("backward bfloat16: engine reference multiplies in full precision only; use --backward auto",),
    ),
    "backward-tf32": (("--backward", "tf32", "--device", "cpu"), ("backward tf32: ", "use --backward auto")),
    "preset": (("--preset", "fst"), ("preset", "'fst'")),
    "crop-form": (("--crop", "1,2,3"), ("--crop", "X0,Y0,X1,Y1")),
    "resize": (("--resize", "0x9"), ("--resize", "WIDTHxHEIGHT")),
    "two-to-stdout": (("second.png", "-o", "-"), ("-o - takes one input",)),
    "stdin-twice": (("-", "-"), ("stdin can be read only once",)),
    "json-and-data": (("--json", "-o", "-"), ("both want stdout",)),
    "no-config": (("-c", "none.yaml"), ("none.yaml", "No such file")),
    "yaml-key": (("-c", "key.yaml"), ("'model.omega_frist'; did you mean 'model.omega_first'?", "key.yaml")),
    "yaml-group": (("-c", "group.yaml"), ("'fitt'; did you mean 'fit'?",)),
    "yaml-list": (("-c", "list.yaml"), ("got a list",)),
    "yaml-twice": (("-c", "twice.yaml"), ("'steps' appears twice", "line 1")),
    "yaml-broken": (("-c", "broken.yaml"), ("broken.yaml, line 2",)),
    "yaml-code": (("-c", "code.yaml"), ("code.yaml",)),
    "yaml-binary": (("-c", "binary.yaml"), ("binary.yaml",)),
}


@pytest.mark.parametrize("kind", BAD_OPTIONS)
def test_an_option_that_makes_no_sense_is_named(lrnn: Lrnn, finished: Run, tmp_path: Path, kind: str) -> None:
    options, words = BAD_OPTIONS[kind]
    for name, text in YAML.items():
        (tmp_path / name).write_text(text)
    lrnn("fit-image", finished.image, "-t", "1s", *options).refused(2, *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(YAML)


def test_a_crop_outside_the_image_is_a_fault_of_that_file(lrnn: Lrnn, finished: Run) -> None:
    lrnn("fit-image", finished.image, *SMALL, "--crop", "0,0,99,9").refused(3, "waves.png", "24x18 pixels")


def test_an_absent_gpu_is_no_surprise(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    env = {"CUDA_VISIBLE_DEVICES": ""}
    done = lrnn("fit-image", finished.image, *SMALL, "--device", "cuda:1", env=env)
    done.refused(4, "device cuda:1", "use --device cpu")
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_overwritten_unasked(lrnn: Lrnn, finished: Run) -> None:
    before = {path: path.read_bytes() for path in finished.folder.iterdir()}
    done = lrnn("fit-image", finished.image, *SMALL, "-o", finished.folder)
    done.refused(3, "holds a run already; --force overwrites it")
    assert {path: path.read_bytes() for path in finished.folder.iterdir()} == before


def test_a_folder_that_cannot_be(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    lrnn("fit-image", finished.image, *SMALL, "-o", "file").refused(3, "cannot write file", "in the way")
    lrnn("fit-image", finished.image, *SMALL, "-o", "file/run").refused(3, "a part of the path is a file")
    sealed = tmp_path / "sealed"
    sealed.mkdir(mode=0o555)
    nowhere = Path("/proc/lrnn") if os.geteuid() == 0 else sealed / "run"
    lrnn("fit-image", finished.image, *SMALL, "-o", nowhere).refused(3, f"cannot write {nowhere}")


def test_a_full_disk_leaves_no_half_of_a_file(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in finished.folder.iterdir()}
    limit = sizes["checkpoint.safetensors"] - 1
    assert sizes["config.yaml"] <= limit
    done = lrnn("fit-image", finished.image, *SMALL, "-o", "run", "-q", file_bytes=limit)
    done.refused(3, "cannot write run/checkpoint.safetensors", "too large")
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["config.yaml"]


def test_a_full_pipe_is_an_error_too(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    flags = ("fit-image", finished.image, *SMALL, "-q")
    lrnn(*flags, "-o", "run", stdout="/dev/full").refused(3, "cannot write to stdout", "No space left")
    assert (tmp_path / "run" / "metrics.json").exists()
    lrnn(*flags, "-o", "-", stdout="/dev/full").refused(3, "cannot write to stdout", "No space left")


def test_a_diverging_fit_keeps_the_last_good_state(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    done = lrnn("fit-image", finished.image, *SMALL, "--lr", "1e6", "--no-guard", "-o", "run", "-q", "--json")
    assert done.code == 5
    assert done.err.startswith("lrnn: error: ")
    assert "use a lower --lr" in done.err
    assert len(done.err.splitlines()) == 1
    record = done.json()
    assert (record["status"], record["train"]["outcome"]) == ("failed", "diverged")
    assert record["metrics"]["psnr_db"] > 9  # what least squares found at the start
    info = lrnn("info", "run", "--json")
    assert info.json()["run"]["status"] == "failed"
    # a failed run is not done: --skip-existing tries again, and does not overwrite unasked
    again = lrnn("fit-image", finished.image, *SMALL, "-o", "run", "--skip-existing")
    again.refused(3, "--force overwrites it")


def test_a_fit_that_is_broken_from_the_start_says_so(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    flags = ("-m", "siren", "--width", 5, "--steps", 3, "--omega-first", "1e38", "--lstsq", "none")
    lrnn("fit-image", finished.image, *flags, "--no-guard", "-o", "run", "-q").refused(
        5, "from the very first step", "--lr"
    )
    assert not (tmp_path / "run" / "metrics.json").exists()
