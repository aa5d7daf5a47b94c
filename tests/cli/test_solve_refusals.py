"""Problems that `lrnn solve-poisson` refuses before any work, and what it says of kinks."""

from pathlib import Path

import pytest

from tests.cli.conftest import Lrnn

JUMP = ("--domain", "box:0:1", "--f", "1", "--a", "1 if x < 0.5 else 10")
STRIP = "implicit:-1,-1:1,1:(x-0.503)^2*1e6+y^2*0.3-0.1"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (JUMP, "a: jumps at (0.5); expected no jumps"),
        ((*JUMP, "--time-to", "1", "--initial", "0"), "expected no jumps"),
        (("--f", "1", "--solver", "lbfgs", "--lr", "0.1"), "--lr: lbfgs has no learning rate; leave it out"),
        (("--f", "1", "--solver", "lm", "--lr", "0.1"), "--lr: lm has no learning rate"),
        (("--f", "1", "--steps", "1"), "--steps: lstsq solves systems and has no steps of training"),
        (("--f", "1", "--solver", "adam", "--features", "separable"), "--features separable: of the least"),
        (
            ("--f", "1", "--domain", "disc:0,0:-1"),
            "problem.domain.radius (command line): expected a number greater than 0, got -1.0",
        ),
        (
            ("--problem", "heat", "--k", "3", "--param", "k=5"),
            "--k and --param k=… are the same number of the problem: give one of them",
        ),
        (("--domain", STRIP, "--f", "1"), "implicit: too thin, no grid line at 512 steps meets the domain"),
    ],
)
def test_one_line_says_why(lrnn: Lrnn, args: tuple[str, ...], message: str) -> None:
    lrnn("solve-poisson", *args, "-o", "run").refused(2, message)
    assert not Path("run").exists()


def test_a_parameter_k_is_in_the_name_of_the_problem(lrnn: Lrnn) -> None:
    by_option, by_parameter = (
        lrnn("solve-poisson", "--problem", "high-frequency", *words, "--print-config").out
        for words in (("--k", "5"), ("--param", "k=5"))
    )
    assert by_option == by_parameter and "name: high-frequency-k5\n" in by_option


def test_parameters_stand_in_implicit_domains(lrnn: Lrnn) -> None:
    shape = ("--domain", "implicit:-3,-3:3,3:x^2 + y^2 - Rad^2", "--param", "Rad=2")
    done = lrnn("solve-poisson", "--f", "1", *shape, "--print-config")
    assert "expression: x^2 + y^2 - (2.0)^2\n" in done.out, done
    (lrnn.folder / "c.yaml").write_text(done.out)
    assert lrnn("solve-poisson", "-c", "c.yaml", "--print-config").out == done.out


def test_a_kink_is_told_and_has_no_bound(lrnn: Lrnn) -> None:
    words = (
        "--rank",
        "60",
        "--omega",
        "5",
        "--features",
        "product",
        "--threads",
        "1",
        "--grid",
        "21",
        "--json",
    )
    done = lrnn("solve-poisson", "--domain", "box:0:1", "--manufacture", "min(x,1-x)", *words, "-o", "run")
    assert done.code == 0, done.err
    assert "warning: the exact solution has a kink, a jump or a root near (0.5)" in done.err
    metrics = done.json()["metrics"]
    assert metrics["error_bound"] is None and metrics["error_l2"] > 0.1
