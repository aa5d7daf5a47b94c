"""`lrnn reconstruct-ct` run whole: simulated and measured scans, every bad input, what is written."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import tifffile

from lrnn_cli.numerics.phantoms import Ellipse, bin_sinogram, raster
from lrnn_cli.numerics.phantoms import sinogram as line_sinogram
from lrnn_cli.numerics.projection import Geometry
from tests.cli.conftest import Done, Lrnn, Program, Run, colours, write_png

N, VIEWS, BINS = 24, 12, 35
SHAPES = (Ellipse(0.5, 0.6, 0.7), Ellipse(0.4, 0.15, 0.25, 0.25, 0.1))
QUICK = ("--steps", 20, "--params", 600, "--engine", "fused", "--threads", 1)
DICOM = Path(__file__).parents[2] / "sample_data" / "CT_small.dcm"


def measured(views: int = VIEWS, center: float | None = None) -> np.ndarray:
    angles = np.pi * np.arange(views) / views
    return bin_sinogram(SHAPES, Geometry(N, angles, BINS, center=center))


@pytest.fixture
def slice_file(tmp_path: Path) -> Path:
    np.save(tmp_path / "disc.npy", raster(SHAPES, N))
    return tmp_path / "disc.npy"


@pytest.fixture
def sinogram(tmp_path: Path) -> Path:
    np.save(tmp_path / "s.npy", measured())
    return tmp_path / "s.npy"


def test_networks_have_their_own_defaults(lrnn: Lrnn, slice_file: Path) -> None:
    """Not those that were found for pictures."""
    words = ("--method", "lrnn,wire,mfn", "--params", 600, "--dry-run", "--json")
    plans = lrnn("reconstruct-ct", slice_file, *words).json()["networks"]
    assert {(plan["optimizer"], plan["lr"]) for plan in plans.values()} == {
        ("adam", 1e-3), ("adam", 5e-3), ("adam", 1e-2)
    }  # fmt: skip
    assert plans["wire"]["model"]["config"]["omega_hidden"] == 20
    assert plans["mfn"]["model"]["config"]["scale"] == N


@pytest.fixture(scope="module")
def simulated(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A simulated run with all kinds of methods."""
    folder = tmp_path_factory.mktemp("ct")
    np.save(folder / "disc.npy", raster(SHAPES, N))
    done = program(
        "reconstruct-ct", "disc.npy", "--views", VIEWS, *QUICK, "--method", "lrnn,fbp,sart,sirt,tv,siren",
        "-o", "run", "--json", cwd=folder,
    )  # fmt: skip
    assert done.code == 0, done.err
    return Run(folder / "disc.npy", folder / "run", done)


def test_all_methods_are_in_the_record(simulated: Run) -> None:
    record = simulated.metrics
    assert record == simulated.done.json()
    assert (record["schema"], record["status"]) == ("lrnn.metrics/1", "ok")
    assert list(record["methods"]) == ["lrnn", "fbp", "sart", "sirt", "tv", "siren"]
    keys = {"psnr_db", "ssim", "rmse", "data_residual", "chi2_reduced", "seconds"}
    assert all(set(one) == keys for one in record["methods"].values())
    metrics = record["metrics"]
    assert metrics["method"] == "lrnn" and metrics["psnr_db"] == record["methods"]["lrnn"]["psnr_db"]
    assert (metrics["units"], metrics["data_range"], metrics["mask"]) == ("1", 1.0, "whole slice")
    setting = metrics["setting"]
    assert (setting["views"], setting["bins"], setting["inverse_crime"]) == (VIEWS, 34, False)
    assert setting["angles_deg"] == [0, 180] and setting["simulated_with"] == "strip, finer grid"
    assert record["methods"]["tv"]["psnr_db"] > record["methods"]["fbp"]["psnr_db"] > 12
    assert record["chosen"]["tv"]["chosen_by"] == "held-out views"
    assert abs(record["model"]["params"] / 600 - 1) < 0.15


def test_all_files_are_there(simulated: Run) -> None:
    folder = simulated.folder
    for name, entry in simulated.metrics["outputs"].items():
        assert (folder.parent / entry["path"]).is_file(), name
    values = np.load(folder / "output.npy")
    np.testing.assert_array_equal(tifffile.imread(folder / "output.tif"), values)
    slices = np.load(folder / "output.slices.npz")
    np.testing.assert_array_equal(slices["lrnn"], values)
    assert {"truth", "tv", "sinogram", "angles_rad"} <= set(slices.files)
    assert (values >= 0).all()
    assert (folder / "preview.png").stat().st_size > 10_000
    assert (folder / "checkpoint-siren.safetensors").is_file()


def test_table_and_progress_go_to_stderr(simulated: Run) -> None:
    err = simulated.done.err
    assert "method  PSNR dB" in err and "tv" in err and "fbp:" in err


def test_render_and_info_work_on_the_network(simulated: Run, lrnn: Lrnn) -> None:
    done = lrnn("render", simulated.folder, "--size", "48x48", "-o", "x.png")
    assert done.code == 0, done.err
    assert (lrnn.folder / "x.png").stat().st_size > 200
    done = lrnn("info", simulated.folder, "--json")
    assert done.json()["signal"]["modality"] == "ct"
    same = lrnn("render", simulated.folder, "--dtype", "float32", "-o", "same.tif")
    assert same.code == 0, same.err
    written = np.load(simulated.folder / "output.npy")
    np.testing.assert_allclose(np.maximum(tifffile.imread(lrnn.folder / "same.tif"), 0), written, atol=1e-6)


def test_the_same_seed_gives_the_same_bits(slice_file: Path, lrnn: Lrnn) -> None:
    for name in ("a", "b"):
        more = ("--noise", "poisson", "--i0", "1e4", "--method", "lrnn")
        assert lrnn("reconstruct-ct", slice_file, "--views", 6, *QUICK, *more, "-o", name).code == 0
    a, b = (np.load(lrnn.folder / name / "output.npy") for name in ("a", "b"))
    np.testing.assert_array_equal(a, b)


def classical(lrnn: Lrnn, *args: object, method: str = "fbp") -> Done:
    return lrnn("reconstruct-ct", *args, "--method", method, "-o", "run", "--force", "--json")


def test_noise_is_stated_beside_the_numbers(slice_file: Path, lrnn: Lrnn) -> None:
    poisson = classical(
        lrnn, slice_file, "--noise", "poisson", "--i0", 1e5, "--electronic", 3, method="tv"
    ).json()
    assert poisson["metrics"]["setting"]["noise"] == "poisson (I0 100000, electronic 3)"
    assert 0.5 < poisson["metrics"]["chi2_reduced"] < 5
    readout = classical(
        lrnn, slice_file, "--noise", "readout", "--tau", 4, "--readout", 1, method="tv"
    ).json()
    assert readout["metrics"]["setting"]["noise"] == "readout (tau 4, readout 1)"
    assert 0.5 < readout["metrics"]["chi2_reduced"] < 2


def test_the_inverse_crime_is_printed(slice_file: Path, lrnn: Lrnn) -> None:
    done = lrnn("reconstruct-ct", slice_file, "--inverse-crime", "--method", "sart,fbp", "-o", "run")
    assert done.code == 0 and "inverse crime" in done.out
    honest = classical(lrnn, slice_file, method="sart").json()["metrics"]
    crime = classical(lrnn, slice_file, "--inverse-crime", method="sart").json()["metrics"]
    assert crime["psnr_db"] > honest["psnr_db"]
    rotated = classical(lrnn, slice_file, "--operator", "rotate").json()["metrics"]["setting"]
    assert (rotated["bins"], rotated["inverse_crime"]) == (N, True)


def test_a_dicom_slice_comes_back_in_hounsfield_units(lrnn: Lrnn) -> None:
    record = classical(lrnn, DICOM, "--views", 60).json()
    metrics = record["metrics"]
    assert metrics["units"] == "HU" and metrics["data_range"] > 1500 and metrics["rmse"] < 300
    values = np.load(lrnn.folder / "run" / "output.npy")
    assert values.min() >= -1000 and 0 < np.median(values) < 120
    assert record["input"]["kind"] == "slice" and metrics["setting"]["pixel_size"] == 0.661468


def test_oblong_images_are_padded_and_masked(lrnn: Lrnn) -> None:
    write_png(lrnn.folder / "a.png", colours(18, 24, 1))
    done = lrnn("reconstruct-ct", "a.png", "--method", "fbp", "-o", "run", "--json")
    assert done.json()["metrics"]["mask"] == "rows 3:21, columns 0:24, without the padding"
    assert "padded with air to 24x24" in done.err


def test_a_slice_from_stdin(slice_file: Path, lrnn: Lrnn) -> None:
    image = write_png(lrnn.folder / "a.png", colours(16, 16, 1))
    done = lrnn("reconstruct-ct", "-", "--method", "fbp", "-o", "run", input=image.read_bytes())
    assert done.code == 0 and done.out.startswith("stdin: fbp ")


def test_measured_data_have_no_truth(sinogram: Path, lrnn: Lrnn) -> None:
    done = classical(lrnn, "--sinogram", sinogram, "--angles", "0:180:12", "--size", N, method="tv")
    metrics = done.json()["metrics"]
    assert metrics["psnr_db"] is metrics["data_range"] is metrics["mask"] is None
    assert metrics["units"] == "1/length" and metrics["data_residual"] < 0.05
    values = np.load(lrnn.folder / "run" / "output.npy")
    assert np.sqrt(np.mean((values - raster(SHAPES, N)) ** 2)) < 0.05


@pytest.mark.parametrize("pixel", [0.8, 1.25])
def test_lengths_scale_the_attenuation(sinogram: Path, lrnn: Lrnn, pixel: float) -> None:
    args = ("--angles", "0:180:12", "--pixel-size", pixel, "--detector-spacing", pixel, "--size", N)
    assert classical(lrnn, "--sinogram", sinogram, *args, method="sart").code == 0
    values = np.load(lrnn.folder / "run" / "output.npy")
    assert np.sqrt(np.mean((values * pixel - raster(SHAPES, N)) ** 2)) < 0.06


def test_water_makes_hounsfield_units(sinogram: Path, lrnn: Lrnn) -> None:
    args = ("--angles", "0:180:12", "--mu-water", 0.5, "--size", N)
    assert classical(lrnn, "--sinogram", sinogram, *args, method="sart").json()["metrics"]["units"] == "HU"
    values = np.load(lrnn.folder / "run" / "output.npy")
    assert abs(values[8:10, 8:12].mean()) < 120 and values.min() == -1000


def test_the_axis_of_rotation_is_found(lrnn: Lrnn) -> None:
    np.save(lrnn.folder / "s.npy", measured(48, center=19.0))
    args = ("--sinogram", "s.npy", "--angles", "0:180:48", "--size", N)
    done = classical(lrnn, *args, "--center", "auto")
    assert done.json()["metrics"]["setting"]["center_bin"] == pytest.approx(19.0, abs=0.3)
    assert "axis of rotation found at bin" in done.err
    given = classical(lrnn, *args, "--center", "19").json()["metrics"]
    ignored = classical(lrnn, *args).json()["metrics"]
    assert given["data_residual"] < 0.5 * ignored["data_residual"]


FAN = ("--geometry", "fan", "--source-distance", 60, "--detector-distance", 30)


def test_a_simulated_fan_by_all_methods(slice_file: Path, lrnn: Lrnn) -> None:
    done = classical(lrnn, slice_file, *FAN, "--views", 24, *QUICK, method="lrnn,fbp,sart,sirt,tv,siren")
    assert done.code == 0, done.err
    record = done.json()
    setting = record["metrics"]["setting"]
    assert (setting["fan"], setting["source_distance"], setting["detector_distance"]) == (True, 60, 30)
    assert (setting["angles_deg"], setting["detector_spacing"]) == ([0, 360], 1.5)
    methods = record["methods"]
    assert methods["tv"]["psnr_db"] > methods["fbp"]["psnr_db"] > 20, methods
    assert min(methods[name]["psnr_db"] for name in ("sart", "sirt")) > 24
    assert all(methods[name]["data_residual"] < 0.1 for name in ("sart", "sirt", "tv")), methods
    assert all(methods[name]["psnr_db"] > 10 for name in ("lrnn", "siren")), methods  # after 20 steps


def test_a_measured_fan(lrnn: Lrnn) -> None:
    angles = 2 * np.pi * np.arange(24) / 24
    beam = {"source_distance": 60.0, "detector_distance": 30.0}
    np.save(lrnn.folder / "s.npy", line_sinogram(SHAPES, Geometry(N, angles, 50, 1.0, 1.5, **beam)))
    args = ("--sinogram", "s.npy", "--angles", "0:360:24", "--size", N, "--detector-spacing", 1.5)

    def error(*flags: object, method: str) -> float:
        done = classical(lrnn, *args, *flags, method=method)
        assert done.code == 0, done.err
        values = np.load(lrnn.folder / "run" / "output.npy")
        return float(np.sqrt(np.mean((values - raster(SHAPES, N)) ** 2)))

    assert error(*FAN, method="fbp") < 0.08
    assert error(*FAN, method="tv") < 0.05
    assert error(method="tv") > 2 * error(*FAN, method="tv")  # taken for a parallel beam


def test_matrices_above_the_limit_are_computed_anew(slice_file: Path, lrnn: Lrnn) -> None:
    stored = classical(lrnn, slice_file, "--views", 6, method="tv")
    free = classical(lrnn, slice_file, "--views", 6, "--matrix-memory", 0, method="tv")
    assert "more than --matrix-memory 0" in free.err and "matrix" not in stored.err
    a, b = (done.json()["metrics"]["psnr_db"] for done in (stored, free))
    assert a == pytest.approx(b, abs=0.01)


def test_counts_with_flat_and_dark(lrnn: Lrnn) -> None:
    p = measured() * 0.1
    np.save(lrnn.folder / "c.npy", 1e4 * np.exp(-p) + 50)
    np.save(lrnn.folder / "f.npy", np.full((3, BINS), 1e4 + 50))
    np.save(lrnn.folder / "d.npy", np.full(BINS, 50.0))
    args = ("--sinogram", "c.npy", "--angles", "0:180:12", "--flat", "f.npy", "--dark", "d.npy", "--size", N)
    record = classical(lrnn, *args, method="tv").json()
    assert record["metrics"]["setting"]["noise"] == "measured, count-weighted"
    assert record["metrics"]["chi2_reduced"] < 3
    values = np.load(lrnn.folder / "run" / "output.npy")
    assert np.sqrt(np.mean((values * 10 - raster(SHAPES, N)) ** 2)) < 0.06


WARNED: dict[str, tuple[tuple[object, ...], str]] = {
    "radians": (("--angles", f"0:{math.pi}:12"), "if they are radians, add --radians"),
    "order": (("--angles", "mixed.txt"), "the angles are not in order"),
    "repeated": (("--angles", "twice.txt"), "angles are repeated"),
    "edges": (("--sinogram", "cut.npy", "--angles", "0:180:12"), "larger than the field of view"),
    "transposed": (
        ("--sinogram", "turned.npy", "--angles", "0:180:12"),
        "read as bins x views and transposed",
    ),
}


@pytest.mark.parametrize("case", WARNED)
def test_odd_data_are_pointed_out(case: str, sinogram: Path, lrnn: Lrnn) -> None:
    degrees = np.arange(12) * 15.0
    np.savetxt(lrnn.folder / "mixed.txt", np.roll(degrees, 5)[::-1])
    np.savetxt(lrnn.folder / "twice.txt", np.repeat(degrees[::2], 2))
    np.save(lrnn.folder / "cut.npy", measured()[:, 8:-8])
    np.save(lrnn.folder / "turned.npy", measured().T)
    args, words = WARNED[case]
    source = () if "--sinogram" in args else ("--sinogram", sinogram)
    done = classical(lrnn, *source, *args)
    assert done.code == 0, done.err
    assert words in done.err


REFUSED: dict[str, tuple[int, tuple[object, ...], tuple[str, ...]]] = {
    "nothing": (2, (), ("give either a SLICE to simulate a scan of, or --sinogram",)),
    "both": (2, ("disc.npy", "--sinogram", "s.npy"), ("give either a SLICE",)),
    "no-angles": (3, ("--sinogram", "s.npy"), ("s.npy: no angles", "--angles")),
    "other-number": (3, ("--sinogram", "s.npy", "--angles", "0:180:13"), ("13 angles fit neither",)),
    "no-views": (3, ("--sinogram", "s.npy", "--angles", "0:180:0"), ("COUNT >= 1",)),
    "zero-views": (2, ("disc.npy", "--views", 0), ("--views",)),
    "layout": (
        3,
        ("--sinogram", "s.npy", "--angles", "0:180:12", "--layout", "bins-first"),
        ("as --layout angles-first it would fit",),
    ),
    "nan": (3, ("--sinogram", "nan.npy", "--angles", "0:180:12"), ("nan.npy", "NaN")),
    "negative-counts": (
        3, ("--sinogram", "negative.npy", "--angles", "0:180:12", "--i0", 5), ("1 counts are negative",)
    ),
    "center": (
        2, ("--sinogram", "s.npy", "--angles", "0:180:12", "--center", 99), ("expected a bin from 0 to 34",)
    ),
    "center-word": (2, ("--sinogram", "s.npy", "--center", "mid"), ("expected a number or auto",)),
    "center-auto": (
        2, ("--sinogram", "s.npy", "--angles", "0:60:12", "--center", "auto"), ("give --center BIN",)
    ),
    "no-file": (3, ("gone.dcm",), ("gone.dcm: no such file",)),
    "empty-dicom": (3, ("empty.dcm",), ("empty.dcm: the file is empty",)),
    "no-dicom": (3, ("text.dcm",), ("not a DICOM file",)),
    "method": (2, ("disc.npy", "--method", "lrn"), ("did you mean 'lrnn'",)),
    "no-method": (2, ("disc.npy", "--method", ","), ("expected at least one of fbp",)),
    "twice": (2, ("disc.npy", "--method", "tv,tv"), ("expected every method once",)),
    "range": (2, ("disc.npy", "--range", "0:0"), ("expected different angles",)),
    "range-word": (2, ("disc.npy", "--range", "half"), ("START:STOP",)),
    "angles-of-slice": (2, ("disc.npy", "--angles", "0:180:9"), ("--angles belongs to --sinogram",)),
    "views-of-sinogram": (
        2, ("--sinogram", "s.npy", "--angles", "0:180:12", "--views", 9), ("--views simulates a scan",)
    ),
    "noise-of-sinogram": (
        2, ("--sinogram", "s.npy", "--noise", "poisson"), ("a measured sinogram has its own",)
    ),
    "tv": (2, ("disc.npy", "--tv", -1), ("expected more than 0, or auto, got -1",)),
    "size": (3, ("disc.npy", "--size", 9), ("--size 9 does not divide its 24 pixels",)),
    "rotate": (
        2, ("disc.npy", "--operator", "rotate", "--detector-spacing", 2), ("leave --detector-spacing out",)
    ),
    "rotate-fan": (2, ("disc.npy", *FAN, "--operator", "rotate"), ("a fan beam needs joseph or strip",)),
    "fan-alone": (2, ("disc.npy", "--geometry", "fan"), ("needs --source-distance",)),
    "no-fan": (2, ("disc.npy", "--source-distance", 90), ("add --geometry fan",)),
    "near-source": (
        2, ("disc.npy", *FAN[:2], "--source-distance", 9, "--detector-distance", 9), ("more than 16.9706",)
    ),
    "fan-center": (
        2, ("--sinogram", "s.npy", "--angles", "0:360:12", *FAN, "--center", "auto"), ("--center BIN",)
    ),
    "options": (2, ("disc.npy", "--method", "fbp", "--set", "rank=4"), ("exactly one network",)),
    "two-sizes": (
        2, ("disc.npy", "--method", "lrnn", "--params", "5k", "--rank", 8), ("--params sets rank of lrnn",)
    ),
    "unknown-option": (2, ("disc.npy", "--set", "rnak=4"), ("did you mean 'rank'?",)),
    "preset": (2, ("disc.npy", "--preset", "paper"), ("expected one of fast, best",)),
    "stdout": (2, ("disc.npy", "-o", "-"), ("a reconstruction is several files",)),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_bad_input_is_refused_in_one_line(case: str, sinogram: Path, slice_file: Path, lrnn: Lrnn) -> None:
    holes, negative = measured(), measured()
    holes[3, 4], negative[3, 4] = np.nan, -1
    np.save(lrnn.folder / "nan.npy", holes)
    np.save(lrnn.folder / "negative.npy", negative)
    (lrnn.folder / "empty.dcm").touch()
    (lrnn.folder / "text.dcm").write_text("Hello, world! " * 40)
    before = {path.name for path in lrnn.folder.iterdir()}
    code, args, words = REFUSED[case]
    lrnn("reconstruct-ct", *args).refused(code, *words)
    assert {path.name for path in lrnn.folder.iterdir()} == before


def test_nothing_is_overwritten_unasked(slice_file: Path, lrnn: Lrnn) -> None:
    quick = ("reconstruct-ct", slice_file, "--method", "fbp", "-o", "run", "-q")
    assert lrnn(*quick).code == 0
    lrnn(*quick).refused(3, "holds a run already", "--force")
    skipped = lrnn(*quick, "--skip-existing", "--json")
    assert skipped.code == 0 and skipped.json()["metrics"]["method"] == "fbp"


def test_a_finished_run_of_something_else_is_not_taken_for_the_one_asked_for(
    slice_file: Path, lrnn: Lrnn
) -> None:
    quick = ("reconstruct-ct", "--method", "fbp", "-o", "run")
    assert lrnn(*quick, slice_file).code == 0
    again = lrnn(*quick, slice_file, "--threads", 1, "--skip-existing")
    assert again.out.endswith(": done already -> run\n")
    other = lrnn(*quick, slice_file, "--views", 9, "--skip-existing")
    assert other.code == 0 and other.out.endswith(": done already, with other settings -> run\n")
    lrnn(*quick, slice_file, "--views", 9, "--resume").refused(3, "with other settings, and nothing is left")
    np.save(lrnn.folder / "other.npy", np.load(slice_file)[::-1] * 0.5)
    for flag in ("--skip-existing", "--resume"):
        lrnn(*quick, "other.npy", flag).refused(3, "run: holds a finished run of another input; --force")


def test_plans_and_settings(slice_file: Path, lrnn: Lrnn) -> None:
    done = lrnn("reconstruct-ct", slice_file, "--dry-run", "--json")
    assert done.json()["networks"]["lrnn"]["model"]["params"] > 170_000
    assert not (lrnn.folder / "runs").exists()
    shown = lrnn("reconstruct-ct", slice_file, "--views", 7, "--print-config")
    (lrnn.folder / "c.yaml").write_text(shown.out)
    again = lrnn("reconstruct-ct", slice_file, "-c", "c.yaml", "--print-config")
    assert again.out == shown.out and "views: 7" in shown.out


def test_usual_folder(slice_file: Path, lrnn: Lrnn) -> None:
    assert lrnn("reconstruct-ct", slice_file, "--method", "fbp", "--seed", 3).code == 0
    record = json.loads((lrnn.folder / "runs/disc/ct-fbp-s3/metrics.json").read_text())
    assert record["status"] == "ok" and record["model"]["name"] is None
