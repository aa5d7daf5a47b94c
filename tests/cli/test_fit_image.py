"""`lrnn fit-image` from the shell, where everything is as it should be."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import yaml
from PIL import Image

from lrnn_cli.models.catalog import CATALOG
from lrnn_cli.numerics import metrics
from lrnn_cli.signals.image import read_image
from tests.cli.conftest import SMALL, Lrnn, Run, colours, write_png
from tests.conftest import RunLrnn

FILES = ["checkpoint.safetensors", "config.yaml", "metrics.json", "output.png", "preview.png", "train.jsonl"]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def records(out: str) -> list[Any]:
    return [json.loads(line) for line in out.splitlines()]


def test_the_real_command_fits_from_stdin_to_stdout(run_lrnn: RunLrnn, finished: Run, tmp_path: Path) -> None:
    image = finished.image.read_bytes()
    done = run_lrnn("fit-image", "-", "-o", "-", *SMALL, "--engine", "fused", input=image, text=False)
    assert done.returncode == 0, done.stderr
    # The same settings give the same pixels, in whatever process.
    assert done.stdout == (finished.folder / "output.png").read_bytes()
    assert b"-: lrnn, 237 parameters: PSNR " in done.stderr.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


def test_the_record_is_on_stdout_and_in_the_folder_and_true(finished: Run) -> None:
    record = finished.done.json()
    assert record == finished.metrics
    assert record["status"] == "ok"
    assert names(finished.folder) == FILES
    target = read_image(finished.image).values
    written = read_image(finished.folder / "output.png").values
    assert record["metrics"]["psnr_db_written"] == metrics.psnr(written, target=target, peak=1.0)
    assert record["input"]["sha256"] == hashlib.sha256(finished.image.read_bytes()).hexdigest()
    for output in record["outputs"].values():
        assert output["sha256"] == hashlib.sha256(Path(output["path"]).read_bytes()).hexdigest()
    log = records((finished.folder / "train.jsonl").read_text())
    assert log[-1]["step"] == record["train"]["steps"] == 12
    # off a terminal the progress is plain lines, one each tenth of the way
    assert "waves.png: 100 %  step 12" in finished.done.err
    assert finished.done.err.isascii() and "\x1b" not in finished.done.err


def test_a_folder_and_files_make_a_batch(lrnn: Lrnn, tmp_path: Path) -> None:
    write_png(tmp_path / "some" / "a.png", colours(5, 7))
    write_png(tmp_path / "some" / "b.png", colours(6, 4, 1))
    (tmp_path / "some" / "note.txt").write_text("no image")
    write_png(tmp_path / "more" / "a.png", colours(4, 4, 4))
    write_png(tmp_path / "last" / "a.png", colours(3, 3))
    inputs = ("some", "more/a.png", "last/a.png")
    done = lrnn("fit-image", *inputs, *SMALL, "--json")
    assert done.code == 0, done.err
    shapes = [record["input"]["shape"] for record in records(done.out)]
    assert shapes == [[5, 7, 3], [6, 4, 1], [4, 4, 4], [3, 3, 3]]
    assert all(record["metrics"]["ssim"] is None for record in records(done.out))  # sides below 11
    assert "alpha is fitted as a channel" in done.err
    assert names(tmp_path / "runs") == ["a", "a.png", "a.png-2", "b"]
    assert names(tmp_path / "runs" / "a.png-2" / "lrnn-s0") == FILES

    again = lrnn("fit-image", *inputs, *SMALL, "--skip-existing", "-q")
    assert again.code == 0
    assert again.out.splitlines()[3] == "last/a.png: done already -> runs/a.png-2/lrnn-s0"

    refused = lrnn("fit-image", *inputs, *SMALL, "-q")
    assert (refused.code, refused.out) == (6, "")
    assert refused.err.count("holds a run already; --force overwrites it") == 4
    assert refused.err.splitlines()[-1] == "lrnn: warning: 4 of 4 inputs failed"


def test_force_replaces_a_run_and_leaves_foreign_files(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    first = lrnn("fit-image", finished.image, *SMALL, "-o", "run", "-q", "--json").json()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    (tmp_path / "run" / "output.tif").write_text("of an earlier run")
    again = lrnn("fit-image", finished.image, *SMALL, "--seed", 1, "-o", "run", "-q", "--json", "--force")
    assert again.json()["train"]["seed"] == 1
    assert again.json()["metrics"]["psnr_db"] != first["metrics"]["psnr_db"]
    assert names(tmp_path / "run") == sorted([*FILES, "notes.txt"])


def test_the_depth_of_the_input_is_that_of_the_output(lrnn: Lrnn, tmp_path: Path) -> None:
    Image.fromarray(colours(9, 8, 1, 65535)[..., 0]).save(tmp_path / "sixteen.png")
    values = colours(9, 8).astype(np.float32) / 50 + 3
    tifffile.imwrite(tmp_path / "float.tif", values, photometric="rgb")
    Image.fromarray(colours(9, 8)).save(tmp_path / "lossy.jpg", quality=90)
    inputs = ("sixteen.png", "float.tif", "lossy.jpg")
    done = lrnn("fit-image", *inputs, *SMALL, "-o", "out", "--json", "-q")
    assert done.code == 0, done.err
    assert [record["input"]["dtype"] for record in records(done.out)] == ["uint16", "float32", "uint8"]
    out = tmp_path / "out"
    assert read_image(out / "sixteen" / "output.png").format["dtype"] == "uint16"
    values = read_image(out / "float" / "output.tif").values
    assert values.dtype == np.float32
    assert 3 < values.mean() < 8.1
    assert read_image(out / "lossy" / "output.png").format["container"] == "PNG"
    # targets of the float image fill [-1, 1] although its values begin at 3
    assert records(done.out)[1]["train"]["loss_final"] < 2


def test_a_dry_run_tells_the_plan_and_touches_nothing(lrnn: Lrnn, finished: Run, tmp_path: Path) -> None:
    done = lrnn(
        "fit-image", finished.image, "-p", "2k", "--until", "40dB", "--time", "3s", "--dry-run", "--json"
    )
    plan = done.json()
    assert abs(plan["model"]["params"] - 2000) < 100
    assert plan["settings"]["fit"]["until"] == "40dB"
    assert (plan["points"], plan["channels"], plan["threads"]) == (18 * 24, 3, plan["threads"])
    assert plan["memory_mb"] > 0
    text = lrnn("fit-image", finished.image, *SMALL, "--dry-run")
    assert "lrnn, 237 parameters, 432 points x 3, 432 points a step, 12 steps" in text.out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "flags",
    [
        (),
        SMALL,
        ("--model", "siren", "-p", "20k", "--time", "90s", "--alpha", "drop"),
        ("--preset", "paper", "--seed", 3, "--crop", "0,0,9,9", "--lstsq", "none"),
        ("--preset", "best", "--sigma", "sin", "--no-guard", "--set", "product=plain", "--grey"),
    ],
    ids=["defaults", "flags", "siren", "paper", "best"],
)
def test_the_printed_configuration_gives_itself_again(lrnn: Lrnn, tmp_path: Path, flags: tuple) -> None:
    first = lrnn("fit-image", "no.png", *flags, "--print-config")
    assert (first.code, first.err) == (0, "")
    assert set(yaml.safe_load(first.out)) == {"model", "fit", "image"}
    (tmp_path / "c.yaml").write_text(first.out)
    assert lrnn("fit-image", "no.png", "--config", "c.yaml", "--print-config").out == first.out


@pytest.mark.parametrize("model", CATALOG)
def test_the_written_settings_give_the_same_plan_again(
    lrnn: Lrnn, finished: Run, tmp_path: Path, model: str
) -> None:
    """For pictures of another shape, too: a scale that the shape decides is not written."""
    write_png(tmp_path / "wide.png", colours(40, 30))
    words = ("-m", model, "-p", "3k", "--dry-run", "--json")
    plans = [lrnn("fit-image", image, *words).json() for image in (finished.image, "wide.png")]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(plans[0]["settings"]))
    again = [
        lrnn("fit-image", image, "-c", "c.yaml", "--dry-run", "--json").json()
        for image in (finished.image, "wide.png")
    ]
    for key in ("model", "lr", "optimizer"):
        assert [plan[key] for plan in again] == [plan[key] for plan in plans]


def test_what_pictures_want_of_a_model_is_in_the_printed_configuration(lrnn: Lrnn) -> None:
    """So that a run is known by it, and a later version with another table makes another run."""
    tree = yaml.safe_load(lrnn("fit-image", "no.png", "-m", "finer", "--print-config").out)
    assert (tree["model"]["omega_first"], tree["model"]["first_bias"]) == (39.0, 2.6)
    tree = yaml.safe_load(lrnn("fit-image", "no.png", "-m", "mfn", "--print-config").out)
    assert "scale" not in tree["model"]


def test_flags_win_over_the_file_and_the_file_over_the_preset(lrnn: Lrnn, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("fit: {steps: 7, lr: 1e-4}\nmodel: {rank: 9}\n")
    done = lrnn("fit-image", "no.png", "-c", "c.yaml", "--preset", "paper", "--rank", 5, "--print-config")
    tree = yaml.safe_load(done.out)
    assert (tree["model"]["rank"], tree["model"]["dbar"]) == (5, 16)
    assert (tree["fit"]["steps"], tree["fit"]["lr"]) == (7, 1e-4)


def test_a_goal_ends_the_run_and_is_kept(lrnn: Lrnn, finished: Run) -> None:
    flags = ("--rank", 6, "--steps", 400, "--until", "9dB", "--json", "-q")
    record = lrnn("fit-image", finished.image, *flags, "-o", "run").json()
    assert record["train"]["outcome"] == "target"
    assert record["train"]["steps"] < 400
    assert record["metrics"]["psnr_db"] >= 9


def test_any_model_by_any_flag(lrnn: Lrnn, finished: Run) -> None:
    flags = ("-m", "siren", "--width", 5, "--set", "depth=2", "--optimizer", "sgd", "--precision", "float64")
    record = lrnn("fit-image", finished.image, *flags, "--steps", 3, "--json", "-qq", "-o", "r").json()
    assert record["model"]["config"]["depth"] == 2
    assert record["model"]["bytes"] == 8 * record["model"]["params"]
    assert record["train"]["engine"] == "torch"


def test_engine_and_precision_of_the_backward_pass_are_in_the_record(lrnn: Lrnn, finished: Run) -> None:
    def train(*flags: object) -> dict[str, Any]:
        done = lrnn("fit-image", finished.image, *SMALL, *flags, "--json", "-qq", "-o", "run", "--force")
        found: dict[str, Any] = done.json()["train"]
        return {key: found[key] for key in found if key.startswith(("engine", "backward"))}

    asked = train("--engine", "fused", "--backward", "bfloat16")
    reasons = {"engine_reason": "asked for", "backward_reason": "asked for", "backward_full_from_step": None}
    assert asked == {"engine": "fused", "backward": "bfloat16", **reasons}
    chosen = train("--engine", "reference")
    assert chosen["backward"] == "full"
    assert chosen["backward_reason"] == "engine reference multiplies in full precision only"
    alone = train()
    assert alone["engine"] in ("fused", "compiled") and alone["engine_reason"]


def test_stdout_can_be_closed_early_and_stderr_silent(lrnn: Lrnn, finished: Run) -> None:
    done = lrnn("fit-image", finished.image, *SMALL, "-o", "run", "-qq")
    assert (done.code, done.err, len(done.out.splitlines())) == (0, "", 1)
    picture = lrnn("fit-image", "-", *SMALL, "-o", "-", "-qq", input=finished.image.read_bytes())
    assert (picture.code, picture.err) == (0, "")
    with Image.open(io.BytesIO(picture.raw)) as image:
        assert image.size == (24, 18)
