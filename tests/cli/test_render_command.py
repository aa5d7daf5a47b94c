"""`lrnn render`: the same bits at the original size, parts and other sizes, formats, broken checkpoints."""

import io
import json
import os
import pty
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lrnn_cli.numerics import metrics
from lrnn_cli.signals.image import read_image
from tests.cli.checkpoints import BAD, rewritten
from tests.cli.conftest import SMALL, Lrnn, Run


def values(path: Path) -> np.ndarray:
    return read_image(path).values


@pytest.mark.parametrize(
    "flags",
    [
        (),
        ("--engine", "reference", "--block-points", 100, "--threads", 2),
        ("--precision", "float64", "--sigma", "sin"),
    ],
    ids=["usual", "reference-in-blocks", "float64"],
)
def test_at_the_original_size_every_bit_is_what_was_measured(
    lrnn: Lrnn, finished: Run, tmp_path: Path, flags: tuple
) -> None:
    run = finished.folder
    if flags:
        run = tmp_path / "run"
        assert lrnn("fit-image", finished.image, *SMALL, *flags, "-o", run, "-q").code == 0
    record = json.loads((run / "metrics.json").read_text())
    done = lrnn("render", run, "-o", "again.tif", "--dtype", "float32", "--json", "--threads", 1)
    assert (done.code, done.err) == (0, "")
    assert done.json()["engine"] == record["train"]["engine"]
    target, drawn = values(finished.image), values(tmp_path / "again.tif")
    assert metrics.psnr(drawn, target=target, peak=1.0) == record["metrics"]["psnr_db"]
    assert metrics.mse(drawn, target=target) == record["metrics"]["mse"]
    assert metrics.max_error(drawn, target=target) == record["metrics"]["max_error"]

    written = lrnn("render", run, "-o", "again.png", "--size", "24x18")
    assert written.code == 0
    assert np.array_equal(values(tmp_path / "again.png"), values(run / "output.png"))


def test_a_region_is_a_part_of_the_whole_and_lies_where_it_should(
    lrnn: Lrnn, finished: Run, tmp_path: Path
) -> None:
    float_tiff = ("--dtype", "float32", "-q")
    assert lrnn("render", finished.folder, "-o", "whole.tif", "--scale", 4, *float_tiff).code == 0
    part = lrnn(
        "render", finished.folder, "-o", "part.tif", "--scale", 4, "--region", "2.5,3.25,10,9", *float_tiff
    )
    assert part.code == 0
    whole, part = values(tmp_path / "whole.tif"), values(tmp_path / "part.tif")
    assert (whole.shape, part.shape) == ((72, 96, 3), (23, 30, 3))
    np.testing.assert_allclose(part, whole[13:36, 10:40], atol=2e-4)

    # the original pixels are the means of nothing: their centres are those of an odd magnification
    assert lrnn("render", finished.folder, "-o", "three.tif", "--size", "72x54", *float_tiff).code == 0
    assert lrnn("render", finished.folder, "-o", "one.tif", *float_tiff).code == 0
    np.testing.assert_allclose(
        values(tmp_path / "three.tif")[1::3, 1::3], values(tmp_path / "one.tif"), atol=2e-4
    )


def test_beyond_the_borders_it_goes_on_and_says_so(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    done = lrnn("render", finished.folder, "-o", "x.png", "--region", "-4,-4,4,4", "--json")
    assert "parts of the region lie outside the 24x18 pixels" in done.err
    assert (done.json()["width"], done.json()["height"]) == (8, 8)


def test_the_suffix_decides_the_format(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    for suffix, container in [(".png", "PNG"), (".jpg", "JPEG"), (".webp", "WebP"), (".bmp", "BMP")]:
        assert lrnn("render", finished.folder, "-o", f"x{suffix}").code == 0
        assert read_image(tmp_path / f"x{suffix}").format["container"] == container
    assert lrnn("render", finished.folder, "-o", "deep.png", "--dtype", "uint16").code == 0
    assert read_image(tmp_path / "deep.png").format["dtype"] == "uint16"
    lrnn("render", finished.folder, "-o", "x.gif").refused(2, "output suffix", "got .gif")
    lrnn("render", finished.folder, "-o", "new.jpg", "--dtype", "uint16").refused(2, "JPEG holds", "uint8")
    lrnn("render", finished.folder, "-o", "new.png", "--dtype", "uint9").refused(2, "dtype", "'uint9'")
    lrnn("render", finished.folder, "-o", tmp_path).refused(3, "is a folder; name a file")
    assert not (tmp_path / "new.jpg").exists()


def test_what_a_container_cannot_hold_is_converted_and_said(
    lrnn: Lrnn, finished: Run, tmp_path: Path
) -> None:
    def change(header: dict, tensors: dict) -> None:
        header["signal"]["dtype"] = "float32"
        header["transform"].update(shift=7.0, scale=2.0)

    (tmp_path / "c.safetensors").write_bytes(rewritten(finished.folder / "checkpoint.safetensors", change))
    done = lrnn("render", "c.safetensors", "-o", "x.png")
    assert done.err.splitlines() == [
        "lrnn: PNG holds no float32: written as uint16",
        "lrnn: values from 5 to 9 are mapped to black … white, others cut off",
    ]
    assert lrnn("render", "c.safetensors", "-o", "x.tif").err == ""
    floats, integers = values(tmp_path / "x.tif"), values(tmp_path / "x.png")
    np.testing.assert_allclose(np.clip((floats - 5) / 4, 0, 1), integers, atol=1e-5)
    # without -o, what holds everything
    assert "x.tif" not in lrnn("render", "c.safetensors").out
    assert (tmp_path / "render-24x18.tif").exists()


def test_without_o_it_lies_beside_the_run_and_is_not_overwritten(lrnn: Lrnn, finished: Run) -> None:
    first = lrnn("render", finished.folder, "--scale", 0.5)
    path = finished.folder / "render-12x9.png"
    try:
        assert first.out.startswith(f"{finished.folder}: 12x9 pixels, PNG uint8, ")
        assert first.out.endswith(f" -> {path}\n")
        before = path.read_bytes()
        refusal = f"{path} exists; --force overwrites it, -o chooses another file"
        lrnn("render", finished.folder, "--scale", 0.5).refused(3, refusal)
        again = lrnn("render", finished.folder / "checkpoint.safetensors", "--scale", 0.5, "--force")
        assert (again.code, path.read_bytes()) == (0, before)
    finally:
        path.unlink(missing_ok=True)


def test_to_a_pipe_but_not_to_a_terminal(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    done = lrnn("render", finished.folder, "-o", "-", "--scale", 2)
    assert done.code == 0
    assert done.err.startswith(f"{finished.folder}: 48x36 pixels")
    with Image.open(io.BytesIO(done.raw)) as image:
        assert (image.size, image.mode) == ((48, 36), "RGB")
    lrnn("render", finished.folder, "-o", "-", stdout="/dev/full").refused(3, "cannot write to stdout")
    master, slave = pty.openpty()
    try:
        lrnn("render", finished.folder, "-o", "-", stdout=os.ttyname(slave)).refused(3, "to a terminal")
    finally:
        os.close(master)
        os.close(slave)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--size", "9x9", "--scale", 2), "size and scale exclude each other"),
        (("--size", "9"), "WIDTHxHEIGHT"),
        (("--scale", 0), "scale: expected a number larger than 0"),
        (("--scale", "nan"), "scale: expected a number larger than 0"),
        (("--scale", 1e9), "expected at most"),
        (("--region", "1,2,3"), "expected four numbers"),
        (("--region", "5,5,1,9"), "expected x0 < x1 and y0 < y1"),
        (("--region", "0,0,inf,9"), "expected x0 < x1"),
        (("--size", "70000x2", "-o", "x.jpg"), "JPEG holds at most 65500 pixels per side"),
        (("--size", "30000x30000", "-o", "x.bmp"), "write PNG or TIFF"),
        (("--device", "tpu"), "device: expected auto"),
        (("--engine", "warp"), "engine: expected one of"),
        (("--json", "-o", "-"), "both want stdout"),
    ],
)
def test_options_that_make_no_sense(
    lrnn: Lrnn, finished: Run, tmp_path: Path, flags: tuple, words: str
) -> None:
    lrnn("render", finished.folder, *flags).refused(2, words)
    assert list(tmp_path.iterdir()) == []


def test_an_absent_gpu_is_an_error_only_when_asked_for(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    def change(header: dict, tensors: dict) -> None:
        header["evaluation"] = {"device": "cuda", "engine": ["?"], "block_points": 10**18}

    env = {"CUDA_VISIBLE_DEVICES": ""}
    lrnn("render", finished.folder, "-o", "x.png", "--device", "cuda", env=env).refused(4, "--device cpu")
    (tmp_path / "c.safetensors").write_bytes(rewritten(finished.folder / "checkpoint.safetensors", change))
    done = lrnn("render", "c.safetensors", "-o", "x.png", env=env)
    assert (done.code, done.err) == (0, "lrnn: fitted on cuda, evaluated on cpu: the last bits may differ\n")


@pytest.mark.parametrize("kind", BAD)
def test_a_checkpoint_that_is_none_is_refused_and_never_executed(
    lrnn: Lrnn, finished: Run, tmp_path: Path, kind: str
) -> None:
    make, words = BAD[kind]
    (tmp_path / "bad.safetensors").write_bytes(make(finished.folder / "checkpoint.safetensors"))
    for command in (("render", "-o", "x.png"), ("info",)):
        done = lrnn(command[0], "bad.safetensors", *command[1:])
        done.refused(3, "bad.safetensors: ", words)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.safetensors"]


@pytest.mark.parametrize(
    ("signal", "code", "words"),
    [
        ({}, 3, "c.safetensors: the header describes no image"),
        ({"channels": ["R"], "dtype": "uint8"}, 3, "describes no image"),
        ({"channels": ["R", "G", "B"], "dtype": "int99\n"}, 3, "describes no image"),
    ],
)
def test_a_checkpoint_that_describes_no_image(
    lrnn: Lrnn, finished: Run, tmp_path: Path, signal: dict, code: int, words: str
) -> None:
    def change(header: dict, tensors: dict) -> None:
        header["signal"] = signal

    (tmp_path / "c.safetensors").write_bytes(rewritten(finished.folder / "checkpoint.safetensors", change))
    lrnn("render", "c.safetensors", "-o", "x.png").refused(code, words)


def test_places_without_a_checkpoint(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    lrnn("render", "nothing").refused(3, "nothing: no such file")
    (tmp_path / "empty").mkdir()
    lrnn("render", "empty").refused(3, "no checkpoint.safetensors in this folder; name a run folder")
    lrnn("render", finished.folder.parent).refused(3, "name one of those in it", str(finished.folder))
    lrnn("render", "/dev/zero").refused(3, "/dev/zero: not a file")
    (tmp_path / "empty" / "resume").mkdir()
    (tmp_path / "empty" / "resume" / "state.safetensors").touch()
    lrnn("render", "empty").refused(3, "unfinished run", "--resume")


def test_other_kinds_are_not_drawn(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    def change(header: dict, tensors: dict) -> None:
        header["kind"] = "audio\x1b[31m"

    (tmp_path / "c.safetensors").write_bytes(rewritten(finished.folder / "checkpoint.safetensors", change))
    lrnn("render", "c.safetensors").refused(2, "render draws fitted images", "'audio\\x1b[31m'")
