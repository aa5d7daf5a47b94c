"""`lrnn solve-poisson --time-to` as a user meets it: a column t, values anywhere, one line for errors."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Lrnn

QUICK = ("--rank", 150, "--omega", 5, "--threads", 1, "--grid", 11)
DECAY = ("--domain", "box:0:1", "--time-to", 0.5, "--manufacture", "exp(-t)*sin(pi*x)")


def test_files_and_values_anywhere(lrnn: Lrnn, tmp_path: Path) -> None:
    done = lrnn("solve-poisson", *DECAY, "--velocity", "0.5", *QUICK, "-o", "run", "--json")
    assert done.code == 0, done.err
    record = json.loads(done.out)
    metrics = record["metrics"]
    assert metrics["rel_l2"] < 1e-5
    assert metrics["error_l2"] <= metrics["error_bound"]
    assert "exp(-m T)" in metrics["error_bound_kind"]
    assert metrics["reference"] is None
    with np.load(tmp_path / "run/solution.npz") as arrays:
        assert arrays["t"][-1] == 0.5
        t, x = np.meshgrid(arrays["t"], arrays["x"], indexing="ij")
        np.testing.assert_allclose(arrays["u"], np.exp(-t) * np.sin(np.pi * x), atol=1e-5)
        np.testing.assert_allclose(arrays["gradient"][..., 0], -np.exp(-t) * np.sin(np.pi * x), atol=1e-2)
    header = (tmp_path / "run/solution.csv").read_text().splitlines()[0]
    assert header == "t,x,u,du_dt,du_dx,residual,exact"
    assert (tmp_path / "run/preview.png").read_bytes().startswith(b"\x89PNG")

    (tmp_path / "points.csv").write_text("x,t\n0.5,0.25\n0.5,0.75\n")
    done = lrnn("render", "run", "--at", "points.csv", "-o", "u.csv")
    assert done.code == 0, done.err
    assert "1 of 2 points lie outside" in done.err
    assert (tmp_path / "u.csv").read_text().startswith("t,x,u,du_dt,du_dx\n")
    table = np.loadtxt(tmp_path / "u.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table[0, :3], [0.25, 0.5, np.exp(-0.25)], atol=1e-5)
    assert np.isnan(table[1, 2:]).all()
    assert lrnn("render", "run", "--at", "9", "-o", "u.png").code == 0
    assert "exp(-t)*sin(pi*x)" in lrnn("info", "run").out


def test_two_dimensions_of_space_and_a_file(lrnn: Lrnn, tmp_path: Path) -> None:
    (tmp_path / "settings.yaml").write_text(
        "problem:\n  time_to: 1\n  f: '1'\n  initial: '0'\n  velocity: ['1', 'y']\n  domain: {kind: disc}\n"
    )
    done = lrnn("solve-poisson", "--config", "settings.yaml", *QUICK, "-o", "run", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metrics"]["rel_l2"] is None
    with np.load(tmp_path / "run/solution.npz") as arrays:
        assert arrays["u"].shape == (11, 11, 11)
        assert np.isnan(arrays["u"][0, 0, 0])
    done = lrnn("render", "run", "--at", "5x9x9", "-o", "u.png")
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", ["heat", "advection-diffusion", "transport"])
def test_named_problems(lrnn: Lrnn, name: str) -> None:
    done = lrnn("solve-poisson", "--problem", name, "--dry-run")
    assert done.code == 0, done.err
    assert "1 dimensions and time" in done.out


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--f", "1", "--initial", "0"], "initial belongs to an unsteady problem: give time_to (--time-to)"),
        (["--f", "1", "--velocity", "1"], "velocity belongs to an unsteady problem"),
        (["--f", "1", "--time-to", "1"], "give u at t = 0 (--initial)"),
        (["--f", "1", "--time-to", "0", "--initial", "0"], "time_to"),
        (["--f", "1", "--time-to", "nan", "--initial", "0"], "time_to"),
        (["--initial", "0", "--time-to", "1"], "give f, or an exact solution"),
        (["--f", "1", "--time-to", "1", "--initial", "0", "--velocity", "1"], "expected 2 components"),
        (["--f", "1", "--time-to", "1", "--initial", "0", "--dim", "3"], "1 or 2 dimensions of space, got 3"),
        (["--f", "1", "--time-to", "1", "--initial", "x.real"], "initial, column 1: attributes"),
        (["--f", "1", "--time-to", "1", "--initial", "1/(x-x)"], "initial or boundary data: not finite"),
        (["--f", "1", "--time-to", "1", "--initial", "0", "--a", "x - 1"], "a: expected no negative values"),
        (["--problem", "heat", "--solver", "lm"], "--solver lm: unsteady problems"),
        (["--problem", "heat", "--model", "siren"], "--solver adam: unsteady problems"),
        (["--problem", "heat", "--reference", "fd"], "--reference fd: for steady problems"),
        (["--problem", "transport", "--dim", "2"], "a problem on the line"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(lrnn: Lrnn, tmp_path: Path, args: list[str], message: str) -> None:
    done = lrnn("solve-poisson", *args, "-o", "run")
    done.refused(2, message)
    assert not (tmp_path / "run").exists()
