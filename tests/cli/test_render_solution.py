"""`lrnn render` and `lrnn info` on solved equations: values anywhere, and one line for what cannot be."""

import io
import json
import re
from pathlib import Path

import numpy as np
import pytest

from lrnn_cli.cli.app import main

SOLVE = ["solve-poisson", "--rank", "200", "--omega", "5", "--threads", "1", "--grid", "11"]


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("box") / "run"
    exact = ["--features", "product", "--manufacture", "sin(pi*x)*sin(2*pi*y)", "-qq", "-o", str(folder)]
    assert main([*SOLVE, *exact]) == 0
    return folder


@pytest.fixture(scope="module")
def disc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("disc") / "run"
    exact = ["--domain", "disc:0,0:1", "--manufacture", "(1-x^2-y^2)*exp(x)", "-qq", "-o", str(folder)]
    assert main([*SOLVE, *exact]) == 0
    return folder


def run(capsys: pytest.CaptureFixture[str], *args: object) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main([str(arg) for arg in args])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_finer_grid(capsys: pytest.CaptureFixture[str], box: Path, tmp_path: Path) -> None:
    target = tmp_path / "fine.npz"
    code, out, err = run(capsys, "render", box, "--at", "grid 40x30", "-o", target, "--json")
    assert code == 0, err
    assert json.loads(out)["grid"] == [40, 30]
    with np.load(target) as arrays:
        x, y = np.meshgrid(arrays["x"], arrays["y"], indexing="ij")
        np.testing.assert_allclose(arrays["u"], np.sin(np.pi * x) * np.sin(2 * np.pi * y), atol=1e-4)
        slope = np.pi * np.cos(np.pi * x) * np.sin(2 * np.pi * y)
        np.testing.assert_allclose(arrays["gradient"][..., 0], slope, atol=1e-3)
    code, _, err = run(capsys, "render", box, "--at", "grid 40x30", "-o", target)
    assert code == 3
    assert "--force" in err


def test_points_of_a_table(capsys: pytest.CaptureFixture[str], disc: Path, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text("id,y,x\n1,0.5,0.25\n2,2,2\n")
    code, _, err = run(capsys, "render", disc, "--at", tmp_path / "points.csv", "-o", tmp_path / "u.csv")
    assert code == 0
    assert "1 of 2 points lie outside" in err
    table = np.loadtxt(tmp_path / "u.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table[:, :2], [[0.25, 0.5], [2, 2]])
    np.testing.assert_allclose(table[0, 2], (1 - 0.25**2 - 0.5**2) * np.exp(0.25), atol=1e-4)
    assert np.isnan(table[1, 2:]).all()


def test_to_stdout_and_as_pictures(
    capsysbinary: pytest.CaptureFixture[bytes], box: Path, tmp_path: Path
) -> None:
    assert main(["render", str(box), "--at", "3", "-o", "-", "-q"]) == 0
    table = np.loadtxt(io.BytesIO(capsysbinary.readouterr().out), delimiter=",", skiprows=1)
    assert table.shape == (9, 5)
    for name in ("u.png", "u.vti"):
        assert main(["render", str(box), "--at", "12", "-o", str(tmp_path / name), "-q"]) == 0
    assert (tmp_path / "u.png").read_bytes().startswith(b"\x89PNG")
    assert b"ImageData" in (tmp_path / "u.vti").read_bytes()


def test_the_default_is_a_grid_in_the_run_folder(capsys: pytest.CaptureFixture[str], box: Path) -> None:
    code, out, _ = run(capsys, "render", box)
    assert code == 0
    assert "512 x 512" in out
    assert (box / "render-512x512.npz").exists()


def test_info_says_what_was_solved(capsys: pytest.CaptureFixture[str], box: Path) -> None:
    code, out, _ = run(capsys, "info", box)
    assert code == 0
    assert "sin(pi*x)*sin(2*pi*y)" in out
    assert "rel_l2" in out
    code, out, _ = run(capsys, "info", box, "--json")
    record = json.loads(out)
    assert record["kind"] == "poisson"
    assert record["solve"]["solver"] == "lstsq"
    assert record["field"]["numbers"] == record["run"]["model"]["params"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--at", "grid 3x3x3"], 2, "3 axes, but the problem has 2 dimensions"),
        (["--at", "grid 1x5"], 2, "at least 2 nodes"),
        (["--at", "grid 99999x99999"], 2, "at most 67108864 points"),
        (["--at", "grid a"], 2, "expected grid N or grid NxM"),
        (["--at", "nowhere.csv"], 3, "nowhere.csv: cannot be read as points .No such file"),
        (["--at", "empty.csv"], 3, "holds no points"),
        (["--at", "words.csv"], 3, "line 2: expected 2 numbers, got '1,two'"),
        (["--at", "short.csv"], 3, "line 1: expected 2 numbers"),
        (["--at", "nan.csv"], 3, "line 1: coordinates must be finite"),
        (["--at", "binary.csv"], 3, "not a text file"),
        (["--at", "far.csv"], 3, "no point lies in the domain"),
        (["--at", "near.csv", "-o", "u.png"], 2, "needs a grid"),
        (["-o", "u.xyz"], 2, "expected a name ending in"),
        (["--size", "3x3"], 2, "--size means nothing for a fit of kind 'poisson'"),
        (["--rate", "8000"], 2, "--rate means nothing"),
        (["--threads", "2"], 2, "--threads means nothing"),
        (["--engine", "fused"], 2, "--engine means nothing"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_rendered_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    box: Path,
    args: list[str],
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.csv").write_text("x,y\n")
    (tmp_path / "words.csv").write_text("0,0\n1,two\n")
    (tmp_path / "short.csv").write_text("0.5\n")
    (tmp_path / "nan.csv").write_text("0,nan\n")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "far.csv").write_text("5,5\n")
    (tmp_path / "near.csv").write_text("0.5,0.5\n")
    found, out, err = run(capsys, "render", box, *args)
    assert (found, out) == (code, "")
    lines = [line for line in err.splitlines() if line.startswith("lrnn: error")]
    assert len(lines) == 1
    assert re.search(message, lines[0]), lines[0]
    assert not (tmp_path / "u.png").exists()


def test_the_format_is_checked_before_the_solution_is_evaluated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, box: Path, tmp_path: Path
) -> None:
    def evaluated(*_: object) -> None:
        raise AssertionError("the solution was evaluated")

    monkeypatch.setattr("lrnn_cli.tasks.render_solution.render_field", evaluated)
    code, _, err = run(capsys, "render", box, "-o", tmp_path / "u.npy")
    assert code == 2 and "expected a name ending in .npz, .csv, .png, .vti, got .npy" in err


def test_at_is_for_solutions_only(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(stream, "PNG")
    (tmp_path / "a.png").write_bytes(stream.getvalue())
    fit = ["fit-image", tmp_path / "a.png", "--params", "200", "--steps", "2", "-o", tmp_path / "fit", "-qq"]
    assert run(capsys, *fit)[0] == 0
    code, _, err = run(capsys, "render", tmp_path / "fit", "--at", "grid 3")
    assert code == 2
    assert "--at means nothing for a fit of kind 'image'" in err
