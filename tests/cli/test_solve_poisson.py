"""`lrnn solve-poisson` as a user meets it: files, figures, and one line for everything that is wrong."""

import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from lrnn_cli.cli.app import main
from lrnn_cli.cli.problem_flags import parse_domain
from lrnn_cli.errors import ConfigError
from tests.cli.conftest import Lrnn
from tests.conftest import RunLrnn

QUICK = ["--rank", "200", "--omega", "5", "--features", "product", "--threads", "1", "--grid", "21"]


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["solve-poisson", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_a_finished_run_of_another_problem_is_not_taken_for_the_one_asked_for(lrnn: Lrnn) -> None:
    first = ("solve-poisson", *QUICK, "-o", "run", "--f", "1")
    assert lrnn(*first).code == 0
    assert lrnn(*first, "--skip-existing").out.endswith(": done already -> run\n")
    other = lrnn(*first, "--omega", "4", "--skip-existing")
    assert (other.code, other.out) == (0, "poisson: done already, with other settings -> run\n")
    another = lrnn("solve-poisson", *QUICK, "-o", "run", "--f", "x", "--skip-existing")
    another.refused(3, "run: holds a finished run of another problem; --force overwrites it")


def test_the_real_program_writes_everything(run_lrnn: RunLrnn, tmp_path: Path) -> None:
    done = run_lrnn("solve-poisson", "--manufacture", "sin(pi*x)*sin(2*pi*y)", "--json", *QUICK, "-o", "here")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    metrics = record["metrics"]
    assert record["status"] == "ok"
    assert metrics["rel_l2"] < 1e-4
    assert metrics["error_l2"] <= metrics["error_bound"]
    assert metrics["reference"]["name"] == "chebyshev"
    assert metrics["reference"]["rel_l2"] < 1e-11
    folder = tmp_path / "here"
    assert json.loads((folder / "metrics.json").read_text())["metrics"] == metrics
    assert (folder / "preview.png").read_bytes().startswith(b"\x89PNG")
    with np.load(folder / "solution.npz") as arrays:
        assert arrays["u"].shape == (21, 21)
        assert arrays["gradient"].shape == (21, 21, 2)
        x, y = np.meshgrid(arrays["x"], arrays["y"], indexing="ij")
        np.testing.assert_allclose(arrays["u"], np.sin(np.pi * x) * np.sin(2 * np.pi * y), atol=1e-4)
    table = np.loadtxt(folder / "solution.csv", delimiter=",", skiprows=1)
    assert table.shape == (441, 7)
    image = ElementTree.parse(folder / "solution.vti").getroot().find("ImageData")
    assert image is not None
    assert image.get("WholeExtent") == "0 20 0 20 0 0"
    assert not [name for name in os.listdir(folder) if name.startswith(".")]


@pytest.mark.parametrize(
    "problem",
    [
        ["--domain", "disc:0,0:1", "--manufacture", "(1 - x^2 - y^2)*cos(x)"],
        ["--manufacture", "exp(x*y)"],
        ["--problem", "l-shape"],
        ["--domain", "box:0:2", "--manufacture", "x*sin(x)"],
        ["--domain", "implicit:-2,-1.2:2,1.2:sqrt(x^2/3+y^2)-1", "--manufacture", "exp(x*y)"],
        ["--manufacture", "sin(pi*x)*y*(1-y)", "--a", "1 + x*y", "--c", "1"],
    ],
    ids=str,
)
def test_every_bound_holds(capsys: pytest.CaptureFixture[str], problem: list[str]) -> None:
    code, out, err = run(capsys, *problem, "--json", *QUICK)
    assert code == 0, err
    metrics = json.loads(out)["metrics"]
    assert metrics["rel_l2"] < 1e-3
    assert metrics["error_l2"] <= metrics["error_bound"] + 1e-14 * metrics["solution_l2"]


def test_a_disc_is_written_with_its_cells_and_measured_on_its_boundary(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    disc = ["--domain", "disc:0,0:1", "--manufacture", "(1 - x^2 - y^2)*cos(x) + 1", *QUICK]
    code, out, err = run(capsys, *disc, "-o", "disc")
    assert code == 0, err
    assert re.search(r"error bound \d\.\de-\d+ of \|u\|, ", out)
    record = json.loads((tmp_path / "disc" / "metrics.json").read_text())
    assert 0 <= record["metrics"]["boundary_error"] < 1e-3
    pieces = ElementTree.parse(tmp_path / "disc" / "solution.vtu").getroot().findall(".//Piece")
    assert int(pieces[0].get("NumberOfCells") or 0) > 100
    assert not (tmp_path / "disc" / "solution.vti").exists()


def test_a_residual_to_reach_or_a_time_ends_a_solution(capsys: pytest.CaptureFixture[str]) -> None:
    bump = ["--manufacture", "x*(1-x)*y*(1-y)*exp(x)", "--grid", "11", "--threads", "1", "--json"]
    bump += ["--solver", "lm", "--rank", "10"]
    code, out, err = run(capsys, *bump, "--until", "1e-3", "-o", "until")
    assert code == 0, err
    record = json.loads(out)
    assert (record["train"]["outcome"], record["train"]["target"]) == ("target", 1e-3)
    code, out, err = run(capsys, *bump, "--until", "1e-14", "--time", "0.5s", "-o", "time")
    assert code == 0, err
    assert json.loads(out)["train"]["outcome"] == "budget"
    assert json.loads(out)["train"]["steps"] < 400


def test_without_an_exact_solution_the_reference_tells(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "--f", "x", "--dirichlet", "x0=0", "--dirichlet", "x", "--json", *QUICK)
    assert code == 0
    metrics = json.loads(out)["metrics"]
    assert metrics["rel_l2"] is None
    assert metrics["reference"]["difference"] < 1e-2
    code, out, _ = run(capsys, "--f", "1", "--reference", "fd", "--json", *QUICK, "-o", "other")
    assert json.loads(out)["metrics"]["reference"]["name"] == "fd"


def test_a_model_of_the_catalog_by_first_order_training(capsys: pytest.CaptureFixture[str]) -> None:
    bump = ["--manufacture", "x*(1-x)*y*(1-y)*exp(x)", "--grid", "21", "--threads", "1"]
    code, out, err = run(
        capsys,
        *bump,
        "--model",
        "mlp-tanh",
        "--solver",
        "lbfgs",
        "--params",
        "120",
        "--steps",
        "60",
        "--json",
    )
    assert code == 0, err
    record = json.loads(out)
    assert record["model"]["name"] == "mlp-tanh"
    assert record["train"]["optimizer"] == "lbfgs"
    assert record["metrics"]["rel_l2"] < 0.2
    assert record["metrics"]["error_l2"] <= record["metrics"]["error_bound"]
    code, out, _ = run(capsys, *bump, "--model", "siren", "--params", "100", "--steps", "2", "-o", "adam")
    assert code == 0
    assert out.startswith("poisson: siren by adam, ")
    code, out, err = run(capsys, *bump, "--solver", "lm", "--params", "300", "--steps", "2", "-o", "lm")
    assert code == 0, err
    assert "lm, 306 numbers" in out
    assert "lrnn reaches 306 parameters, the nearest to 300" in err


def test_an_option_of_training_makes_adam_the_solver_and_that_is_said(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["--f", "1", "--grid", "11", "--threads", "1", "--steps", "2", "--rank", "5"]
    _, out, err = run(capsys, *words, "--omega-first", "9", "--lr", "1e-3", "-o", "a")
    assert out.startswith("poisson: adam, ")
    assert "omega_first, --lr: for training, so solved by adam; --solver chooses another" in err
    _, _, err = run(capsys, *words, "--omega-first", "9", "--solver", "adam", "-o", "b")
    assert "so solved by adam" not in err


def test_a_network_of_filters_learns_a_smooth_solution(capsys: pytest.CaptureFixture[str]) -> None:
    """With the scale that suits pictures, 2.9 per sample of an axis, it does not."""
    words = ["--manufacture", "x*(1-x)*y*(1-y)*exp(x)", "--grid", "11", "--threads", "1", "--model", "mfn"]
    words += ["--solver", "lm", "--params", "150", "--steps", "60", "--json"]
    code, out, err = run(capsys, *words, "-o", "own")
    assert code == 0, err
    assert json.loads(out)["metrics"]["rel_l2"] < 1e-3
    _, out, _ = run(capsys, *words, "--set", f"scale={2.9 * 32}", "-o", "pictures")
    assert json.loads(out)["metrics"]["rel_l2"] > 1e-2


def test_warnings_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    _, _, err = run(capsys, "--problem", "l-shape", "--no-enrich", *QUICK)
    assert "re-entrant" in err
    assert "enrichment is off" in err
    _, _, err = run(capsys, "--f", "1", "--neumann", "0", *QUICK, "-o", "pure")
    assert "not compatible: 1 is taken from f" in err
    _, _, err = run(capsys, "--f", "1", "--dirichlet", "x0=1", "--dirichlet", "0", *QUICK, "-o", "jump")
    assert "disagree at (0, 0)" in err


def test_the_zero_solution(capsys: pytest.CaptureFixture[str]) -> None:
    for number, given in enumerate((["--f", "0"], ["--manufacture", "0"])):
        code, out, err = run(capsys, *given, *QUICK, "-o", f"zero{number}")
        assert code == 0 and "chebyshev 0 everywhere in" in out, err
        metrics = json.loads(Path(f"zero{number}", "metrics.json").read_text())["metrics"]
        assert metrics["rel_l2"] is None and metrics["reference"]["difference"] is None


@pytest.mark.parametrize(
    ("problem", "kept"),
    [
        (["--problem", "l-shape", "--manufacture", "x^2*y"], {"exact": "x^2*y", "f": None}),
        (["--problem", "heat", "--manufacture", "t*x"], {"exact": "t*x", "f": None, "initial": None}),
        (["--problem", "heat", "--manufacture", "t*x"], {"boundary": {"all": {"dirichlet": "exact"}}}),
        (["--problem", "l-shape", "--f", "1"], {"exact": "r^(2/3) * sin(2*theta/3)", "f": "1"}),
        (["--problem", "l-shape", "--f", "1", "--exact", "y"], {"exact": "y", "f": "1"}),
    ],
)
def test_a_flag_takes_away_what_it_makes_wrong(
    capsys: pytest.CaptureFixture[str], problem: list[str], kept: dict[str, Any]
) -> None:
    found = yaml.safe_load(run(capsys, *problem, "--print-config")[1])["problem"]
    sides = found.get("boundary") or {}
    found["boundary"] = {s: {k: v for k, v in c.items() if v} for s, c in sides.items()}
    assert {key: found.get(key) for key in kept} == kept


def test_a_manufactured_solution_takes_conditions_of_a_file_that_follow_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sides = {"x0": {"neumann": "0"}, "x1": {"dirichlet": "3"}}
    (tmp_path / "p.yaml").write_text(yaml.safe_dump({"problem": {"f": "7", "exact": "1", "boundary": sides}}))
    words = ("--config", "p.yaml", "--manufacture", "x*y", "--print-config")
    found = yaml.safe_load(run(capsys, *words)[1])["problem"]
    kept = {s: {k: v for k, v in c.items() if v} for s, c in found["boundary"].items()}
    own = {"x0": {"neumann": "exact"}, "x1": {"dirichlet": "exact"}}
    assert (found.get("f"), found["exact"], kept) == (None, "x*y", own)


@pytest.mark.parametrize("solver", ["lm", "adam", "lbfgs", "lstsq"])
def test_pure_neumann_problems_have_their_mean_fixed_by_every_solver(
    capsys: pytest.CaptureFixture[str], solver: str
) -> None:
    wave = ["--manufacture", "cos(pi*x)*cos(pi*y) + 2", "--neumann", "exact", "--grid", "21", "--json"]
    steps = [] if solver == "lstsq" else ["--steps", "20"]
    code, _, err = run(capsys, *wave, "--solver", solver, "--rank", "12", *steps, "-o", solver)
    assert code == 0, err
    u = np.load(f"{solver}/solution.npz")["u"]
    rim = np.r_[0.5, np.ones(19), 0.5] / 20
    assert float(rim @ u @ rim) == pytest.approx(2, abs=0.02)


def test_settings_survive_the_round_trip(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    args = ["--problem", "high-frequency", "--k", "4", "--seed", "3"]
    code, out, _ = run(capsys, *args, "--print-config")
    assert code == 0
    (tmp_path / "settings.yaml").write_text(out)
    assert run(capsys, "--config", "settings.yaml", "--print-config")[1] == out
    code, out, _ = run(capsys, *args, "--dry-run")
    assert "high-frequency-k4" in out
    assert not (tmp_path / "runs").exists()
    assert "Mitchell" in run(capsys, "--problem", "list")[1]


def test_no_run_is_overwritten_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    args = ["--f", "1", *QUICK, "-o", "here"]
    assert run(capsys, *args)[0] == 0
    code, _, err = run(capsys, *args)
    assert code == 3
    assert "--force" in err
    assert "done already" in run(capsys, *args, "--skip-existing")[1]
    assert run(capsys, *args, "--force")[0] == 0


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--f", "__import__('os').getcwd()"], "f, column 1: "),
        (["--f", "x.real"], "attributes"),
        (["--f", "9**9**9"], "exponent"),
        (["--f", "(" * 3000 + "1"], "nested brackets"),
        (["--f", "sinn(x)"], "did you mean sin"),
        (["--f", "1/0"], "not finite in the domain"),
        (["--f", "log(x - 2)"], "f: not finite in the domain, first at "),
        (["--f", "1", "--dirichlet", "1/x"], "boundary data: not finite"),
        (["--f", "1", "--param", "k=nan"], "parameters"),
        (["--problem", "high-frequency", "--k", "nan"], "finite"),
        (["--f", "1", "--c", "0/0"], "c: not finite"),
        (["--f", "1", "--a", "x - 1"], "a: expected positive values"),
        (["--f", "1", "--reference", "spectral"], "chebyshev"),
        (["--f", "1", "--reference", "fd", "--domain", "disc:0,0:1"], "--reference fd: takes boxes"),
        (["--f", "1", "--reference", "chebyshev", "--a", "1+x"], "--reference chebyshev: takes boxes"),
        (["--f", "1", "--reference", "fem", "--dim", "3"], "in the plane, got 3 dimensions"),
        (["--f", "1", "--collocation", "lattice"], "gauss"),
        (
            ["--f", "1", "--collocation", "adaptive", "--model", "siren", "--solver", "lbfgs"],
            "--collocation adaptive: lbfgs needs the same points",
        ),
        (["--f", "nan"], "unknown name"),
        ([], "give f"),
        (["--problem", "l-shap"], "did you mean 'l-shape'"),
        (["--domain", "polygon:", "--f", "1"], "--domain: expected"),
        (["--domain", "polygon:0,0:1,1", "--f", "1"], "at least 3"),
        (["--domain", "polygon:0,0:1,1:2,2", "--f", "1"], "empty, the vertices lie on one line"),
        (["--domain", "polygon:0,0:1,1:1,0:0,1", "--f", "1"], "cross or touch"),
        (["--domain", "box:0,0:1", "--f", "1"], "--domain: expected"),
        (["--domain", "disc:0,0:nan", "--f", "1"], "finite|radius"),
        (["--domain", "implicit:-1,-1:1,1:x^2+y^2-4", "--f", "1"], "reaches beyond its bounding box"),
        (["--domain", "implicit:-1,-1:1,1:x.real", "--f", "1"], "attributes"),
        (["--domain", "implicit:-1,-1:1,1", "--f", "1"], "--domain: expected"),
        (["--dim", "3", "--domain", "disc:0,0:1", "--f", "1"], "does not agree"),
        (["--dim", "1", "--f", "y"], "unknown name 'y'"),
        (["--k", "3", "--f", "1"], "--k belongs to a named problem"),
        (["--f", "1", "--manufacture", "x"], "leave --f and --exact out"),
        (["--f", "1", "--dirichlet", "q9=1"], "unknown side"),
        (["--f", "1", "--dirichlet", "0", "--neumann", "0"], "has a condition already"),
        (["--f", "1", "--param", "k=two"], "NAME=NUMBER"),
        (["--f", "1", "--solver", "magic"], "lstsq"),
        (["--f", "1", "--until", "-1"], "until"),
        (["--f", "1", "--dim", "5", "--solver", "lstsq"], "too many"),
        (["--f", "1", "-o", "-"], "give a folder"),
        (["--f", "1", "--dim", "3", "--grid", "1024"], "--grid 1024: 1073741824 nodes in 3 dimensions"),
        (["--f", "1", "--solver", "lm", "--rank", "5000"], "lower --rank"),
        (["--f", "1", "--model", "sirenn"], "did you mean 'siren'"),
        (["--f", "1", "--model", "siren", "--solver", "lstsq"], "--model: --solver lstsq chooses its own"),
        (["--f", "1", "--set", "sigma=tanh", "--solver", "lstsq"], "sigma: --solver lstsq chooses its own"),
        (["--f", "1", "--params", "300", "--solver", "lstsq"], "--params: --solver lstsq chooses its own"),
        (["--f", "1", "--model", "siren", "--set", "wdth=3"], "unknown option 'wdth'"),
        (["--f", "1", "--model", "siren", "--set", "width=-3"], "width"),
        (["--f", "1", "--model", "siren", "--width", "3", "--params", "300"], "--params sets width"),
        (["--f", "1", "--solver", "lm", "--rank", "3", "--params", "300"], "--params sets rank"),
        (["--f", "1", "--model", "siren", "--params", "1"], "needs at least"),
        (["--f", "1", "--model", "siren", "--omega", "3"], "--omega means nothing to --solver adam"),
        (["--f", "1", "--solver", "adam", "--lr", "0"], "lr"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, list) else None,
)
def test_bad_input_is_one_line(lrnn: Lrnn, tmp_path: Path, args: list[str], message: str) -> None:
    done = lrnn("solve-poisson", *args)
    done.refused(2)
    assert re.search(message, done.err), done.err
    assert not (tmp_path / "runs").exists()


def test_finite_elements_beside_the_network(lrnn: Lrnn) -> None:
    disc = ("--domain", "disc:0,0:1", "--reference", "fem", "--json", *QUICK)
    done = lrnn("solve-poisson", *disc, "--manufacture", "(1 - x^2 - y^2)*cos(x)", "-o", "known")
    assert done.code == 0, done.err
    found = done.json()["metrics"]["reference"]
    assert found["name"] == "fem"
    assert found["rel_l2"] < 1e-5
    mixed = ("--f", "1", "--dirichlet", "outer=x", "--neumann", "inner=y", "-o", "unknown")
    done = lrnn("solve-poisson", *disc, "--domain", "annulus:0,0:0.5:1", *mixed)
    assert done.code == 0, done.err
    found = done.json()["metrics"]["reference"]
    assert found["rel_l2"] is None
    assert found["difference"] < 5e-2  # 200 features resolve no more


def test_finite_elements_are_an_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "skfem", None)
    code, _, err = run(capsys, "--f", "1", "--reference", "fem")
    assert code == 2
    assert "--reference fem: needs scikit-fem: pip install 'lrnn[fem]'" in err


def test_a_reference_that_fails_costs_a_word_and_not_the_solution(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*args: object) -> None:
        raise ValueError("finite elements: the system is singular")

    monkeypatch.setattr("lrnn_cli.numerics.finite_elements.solve", fails)
    code, out, err = run(capsys, "--f", "1", "--reference", "fem", "--json", *QUICK)
    assert code == 0
    record = json.loads(out)
    assert record["metrics"]["reference"] is None
    assert "--reference fem: finite elements: the system is singular" in record["input"]["notes"]
    assert "--reference fem: finite elements: the system is singular" in err


@pytest.mark.parametrize("kind", ["gauss", "sobol", "adaptive"])
def test_kinds_of_points(lrnn: Lrnn, tmp_path: Path, kind: str) -> None:
    bump = ("--manufacture", "sin(pi*x)*sin(2*pi*y)", "--collocation", kind, *QUICK)
    done = lrnn("solve-poisson", *bump, "--json", "-o", "run")
    assert done.code == 0, done.err
    record = done.json()
    assert record["metrics"]["rel_l2"] < 1e-3
    assert record["model"]["config"]["collocation"] == kind
    assert record["model"]["config"]["adaptations"] <= (2 if kind == "adaptive" else 0)  # of the best system
    log = [json.loads(line) for line in (tmp_path / "run/train.jsonl").read_text().splitlines()]
    assert len(log) == (3 if kind == "adaptive" else 1)
    assert log[-1]["error"] < 1e-3
    assert "residual" in done.err and "  error " in done.err
    assert "  loss " not in done.err


def test_a_resonance_is_told(lrnn: Lrnn) -> None:
    done = lrnn("solve-poisson", "--f", "1", "--c", "-2*pi^2", *QUICK)
    assert done.code == 0, done.err
    assert "the system is singular or the solution is not smooth" in done.err


def test_shapes_are_read() -> None:
    assert parse_domain("annulus:0,0:0.5:1")["inner"] == 0.5
    assert parse_domain("L-shape") == {"kind": "polygon"}
    assert parse_domain("implicit:-2,-1:2,1:x^2/4+y^2-1")["expression"] == "x^2/4+y^2-1"
    with pytest.raises(ConfigError):
        parse_domain("sphere:1")
