"""`--engine` and `--device` of `lrnn solve-poisson`: what is chosen, that all agree, and what cannot be."""

import pytest
import torch

from lrnn_cli.fitting.solve_settings import SolveSettings
from lrnn_cli.kernels import native, native_jets
from lrnn_cli.kernels.dispatch import Engine
from lrnn_cli.objectives.poisson import ProblemConfig
from lrnn_cli.runs.solve import run_key
from lrnn_cli.tasks.solve_poisson import PoissonTask
from tests.cli.conftest import Lrnn
from tests.conftest import RunLrnn


def test_the_engine_of_product_layers(lrnn: Lrnn) -> None:
    words = ["--manufacture", "x*(1-x)*y*(1-y)*exp(x)", "--grid", "11", "--threads", "1", "--json", "-qq"]
    adam = ["--model", "lrnn", "--params", "120", "--steps", "12", "--solver", "adam"]
    losses = {}
    for engine in ("reference", "fused", None):
        asked = [] if engine is None else ["--engine", engine]
        train = lrnn("solve-poisson", *words, *adam, *asked, "-o", engine or "auto").json()["train"]
        assert train["engine"] == engine or (engine is None and train["engine"] in ("fused", "compiled"))
        assert train["engine_reason"]
        losses[engine] = train["loss_final"]
    assert losses["fused"] == pytest.approx(losses["reference"], rel=1e-9)
    assert losses[None] == pytest.approx(losses["reference"], rel=1e-9)
    own = lrnn("solve-poisson", *words, "-o", "own").json()["train"]
    assert own["engine_reason"] == "closed forms of the solver's own"


def test_a_short_solution_does_not_wait_for_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "is_built", lambda source=None: False)
    monkeypatch.setattr(native, "compiler", lambda: "cc")
    monkeypatch.setattr(native_jets, "load", lambda: "a kernel")
    problem = ProblemConfig(exact="x*(1-x)*y*(1-y)")

    def chosen(**budget: float) -> str:
        return PoissonTask(problem, SolveSettings(solver="adam", model="lrnn", **budget)).engine.name

    assert PoissonTask(
        problem, SolveSettings(solver="lm", model="lrnn", options={"depth": 2})
    ).engine == Engine("reference", "the Jacobian by rows takes it")
    assert [chosen(steps=499), chosen(time_s=19.9), chosen(time_s=19.9, steps=500)] == ["fused"] * 3
    assert [chosen(steps=500), chosen(time_s=20), chosen()] == ["compiled"] * 3


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--engine", "fused"], "--engine fused: closed forms of the solver's own; leave it out"),
        (
            ["--engine", "fused", "--solver", "adam", "--model", "siren"],
            "--engine fused: the model has no product layer; leave it out",
        ),
        (
            ["--engine", "triton", "--solver", "adam"],
            "engine triton: Triton needs an NVIDIA GPU; use --engine auto",
        ),
        (
            ["--engine", "fused", "--solver", "adam", "--sigma", "spder-sqrt"],
            "engine fused: it has no Laplacian of 'spder-sqrt'; use --engine auto",
        ),
    ],
)
def test_an_engine_that_cannot_be(run_lrnn: RunLrnn, words: list[str], line: str) -> None:
    done = run_lrnn("solve-poisson", "--problem", "multi-scale", *words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"lrnn: error: {line}\n"


@pytest.mark.parametrize("solver", ["lstsq", "lm"])
def test_a_device_that_a_solver_has_no_use_for(run_lrnn: RunLrnn, solver: str) -> None:
    done = run_lrnn("solve-poisson", "--problem", "multi-scale", "--solver", solver, "--device", "cuda:1")
    assert (done.returncode, done.stdout) == (2, "")
    said = f"--device cuda:1: --solver {solver} runs on the CPU; leave it out, or use --solver adam"
    assert done.stderr == f"lrnn: error: {said}\n"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there(run_lrnn: RunLrnn) -> None:
    words = ["solve-poisson", "--problem", "multi-scale"]
    done = run_lrnn(*words, "--solver", "adam", "--device", "cuda")
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith("lrnn: error: device cuda: ")
    done = run_lrnn(*words, "--device", "gpu")
    assert (done.returncode, done.stderr) == (
        2, "lrnn: error: device: expected auto, cpu, cuda or cuda:N, got 'gpu'\n",
    )  # fmt: skip


def test_the_device_is_on_record(lrnn: Lrnn) -> None:
    words = ["--manufacture", "x*(1-x)*y*(1-y)", "--grid", "11", "--threads", "1", "--json", "-qq"]
    for solver, device in (("lstsq", "auto"), ("adam", "cpu")):
        more = ["--solver", solver, "--device", device, "-o", solver]
        more += [] if solver == "lstsq" else ["--steps", "2"]
        record = lrnn("solve-poisson", *words, *more).json()
        assert record["resources"]["device"] == "cpu"
        assert record["train"]["lr"] == (None if solver == "lstsq" else 1e-2)


def test_a_device_and_an_engine_left_open_in_two_ways_are_one_run() -> None:
    tree = {"problem": {"name": "x"}, "solve": {"seed": 0}}
    assert run_key({**tree, "solve": {"seed": 0, "device": "cpu"}}) == run_key(tree)
    assert run_key({**tree, "solve": {"seed": 0, "engine": "auto"}}) == run_key(tree)
    assert run_key({**tree, "solve": {"seed": 0, "engine": "fused"}}) != run_key(tree)
