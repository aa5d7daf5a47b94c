"""How `lrnn reconstruct-ct` ends: a network that diverged, settings taken back, numbers that are none."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from lrnn_cli.cli.app import main
from lrnn_cli.numerics.phantoms import Ellipse, bin_sinogram, raster
from lrnn_cli.numerics.projection import Geometry
from tests.cli.conftest import Lrnn

N, VIEWS, BINS = 16, 8, 23
SHAPES = (Ellipse(0.5, 0.6, 0.7),)
MAD = (
    "--views", VIEWS, "--method", "lrnn,fbp", "--set", "layer_norm=false", "--params", 300, "--prior", "none",
    "--steps", 60, "--lr", 1e4, "--engine", "fused", "--threads", 1, "-o", "run",
)  # fmt: skip


def test_a_network_that_diverged_is_no_success(lrnn: Lrnn) -> None:
    np.save(lrnn.folder / "disc.npy", raster(SHAPES, N))
    done = lrnn("reconstruct-ct", "disc.npy", *MAD, "--json", "-q")
    assert done.code == 5
    assert done.err.splitlines()[-1] == (
        "lrnn: error: disc: lrnn diverged, and the last good state was kept: use a lower --lr"
    )
    record = done.json()
    assert record == json.loads((lrnn.folder / "run/metrics.json").read_text())
    assert (record["status"], record["train"]["outcome"]) == ("failed", "diverged")
    assert record["chosen"]["lrnn"]["outcome"] == "diverged"
    assert list(record["methods"]) == ["lrnn", "fbp"] and (lrnn.folder / "run/output.tif").is_file()
    assert not (lrnn.folder / "run/resume").exists()
    log = [json.loads(line) for line in (lrnn.folder / "run/train.jsonl").read_text().splitlines()]
    assert any("back to step 0, and no further" in each["event"] for each in log if "event" in each)
    # the end of a method has no loss; a classical one has no steps
    ends = [(each["method"], each["step"]) for each in log if "loss" not in each]
    assert ends == [("fbp", 0), ("lrnn", record["chosen"]["lrnn"]["steps"])]

    lrnn("reconstruct-ct", "disc.npy", *MAD, "--skip-existing").refused(3, "holds a run already")
    lrnn("reconstruct-ct", "disc.npy", *MAD, "--resume").refused(3, "a run that ended (failed)")
    rows = lrnn("compare", "run", "--json").json()["tables"][0]["rows"]
    failed = {row["label"]: row["failed"] for row in rows}
    assert (failed["lrnn"], failed["fbp"]) == (1, 0)


def test_no_error_ends_a_reconstruction(lrnn: Lrnn) -> None:
    (lrnn.folder / "u.yaml").write_text("fit: {until: 5dB, steps: 2000}\n")
    done = lrnn("reconstruct-ct", "gone.npy", "-c", "u.yaml")
    done.refused(2, "fit (u.yaml): until: a network of a reconstruction follows a target that moves")


def test_a_measured_scan_is_taken_back_from_its_settings(lrnn: Lrnn) -> None:
    angles = np.pi * np.arange(VIEWS) / VIEWS
    np.save(lrnn.folder / "s.npy", bin_sinogram(SHAPES, Geometry(N, angles, BINS)))
    first = ("reconstruct-ct", "--angles", f"0:180:{VIEWS}", "--method", "fbp", "-q", "-o", "one")
    assert lrnn(*first, "--sinogram", "s.npy").code == 0
    written = yaml.safe_load((lrnn.folder / "one/config.yaml").read_text())
    assert not {"views", "noise", "tau", "readout", "inverse_crime"} & set(written["scan"])
    again = lrnn("reconstruct-ct", "-c", "one/config.yaml", "-q", "-o", "two")
    assert again.code == 0, again.err
    assert yaml.safe_load((lrnn.folder / "two/config.yaml").read_text()) == written
    for name in ("output.npy", "output.tif"):
        assert (lrnn.folder / "one" / name).read_bytes() == (lrnn.folder / "two" / name).read_bytes()
    # what was read counts, not how the file was called
    (lrnn.folder / "a.txt").write_text("\n".join(str(180 * k / VIEWS) for k in range(VIEWS)))
    done = lrnn("reconstruct-ct", "--sinogram", "./s.npy", *first[1:], "--resume")
    assert done.out == "s: done already -> one\n", done.err
    other = lrnn("reconstruct-ct", "--sinogram", "s.npy", *first[1:], "--filter", "ramp", "--resume")
    other.refused(3, "with other settings")


NOT_FINITE = {
    "scan.range": ("--range", "0:inf"),
    "scan.i0": ("--noise", "poisson", "--i0", "inf"),
    "scan.tau": ("--noise", "readout", "--tau", "inf"),
    "scan.detector_spacing": ("--detector-spacing", "inf"),
    "scan.source_distance": ("--geometry", "fan", "--source-distance", "inf", "--detector-distance", "9"),
    "scan.pixel_size": ("--pixel-size", "inf"),
    "scan.mu_water": ("--mu-water", "inf"),
    "method.tv": ("--tv", "inf"),
    "method.bandwidth": ("--bandwidth", "nan"),
    "fit.lr": ("--lr", "inf"),
}


@pytest.mark.parametrize("key", NOT_FINITE)
def test_numbers_that_are_not_finite(key: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["reconstruct-ct", "gone.npy", *NOT_FINITE[key]]) == 2
    assert f"{key} (command line): expected a finite number, got " in capsys.readouterr().err


def test_a_fit_takes_no_infinite_rate(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit-image", "gone.png", "--lr", "inf"]) == 2
    assert "fit.lr (command line): expected a finite number, got inf" in capsys.readouterr().err


@pytest.mark.parametrize("command", [("fit-image", "gone.png"), ("reconstruct-ct", "gone.npy")])
def test_a_run_is_resumed_or_begun_anew(
    command: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command, "-o", str(tmp_path / "run"), "--resume", "--force"]) == 2
    err = capsys.readouterr().err
    assert err == (
        "lrnn: error: --resume goes on with an unfinished run, --force starts it anew; "
        "leave one of them out\n"
    )
