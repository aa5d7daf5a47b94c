"""The kernel is compiled before the first run that may use it, and for no other."""

import dataclasses
from pathlib import Path

import pytest

from lrnn_cli.kernels import native
from lrnn_cli.studies import run_local
from lrnn_cli.studies.jobs import Job
from lrnn_cli.studies.warm import warm_kernel
from tests.studies.job_support import PROGRAM, job


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(native, "is_built", lambda source: source.name in found)
    monkeypatch.setattr(native, "load", lambda source: found.append(source.name) or object())
    return found


def job_of(model: str, task: str = "fit-image") -> Job:
    return dataclasses.replace(job(1), model=model, task=task)


def test_a_model_with_product_layers_compiles_once(loads: list[str]) -> None:
    assert warm_kernel([job_of("siren"), job_of("lrnn"), job_of("lrnn")])
    assert loads == ["native.c", "native_nadam.c"]
    assert not warm_kernel([job_of("lrnn")])
    assert loads == ["native.c", "native_nadam.c"]


def test_equations_have_a_kernel_of_their_own(loads: list[str]) -> None:
    assert warm_kernel([job_of("lrnn", "solve-poisson")])
    assert loads == ["native_jets.c"]
    assert warm_kernel([job_of("lrnn", "solve-poisson"), job_of("lrnn", "fit-audio")])
    assert loads == ["native_jets.c", "native.c", "native_nadam.c"]


def test_others_and_what_is_no_model_compile_nothing(loads: list[str]) -> None:
    assert not warm_kernel([job_of("siren"), job_of("fbp"), job_of("spder", "solve-poisson")])
    assert loads == []


def test_without_a_compiler_the_runs_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "is_built", lambda source: False)
    monkeypatch.setattr(native, "load", lambda source: None)
    assert not warm_kernel([job_of("lrnn")])


def test_it_happens_before_the_first_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    monkeypatch.setattr(run_local, "PROGRAM", PROGRAM)
    monkeypatch.setattr(run_local, "warm_kernel", lambda jobs: order.append(f"warm {len(jobs)}"))
    monkeypatch.setattr(run_local, "run_unit", lambda unit, *rest, **more: order.append("run") or [])
    list(run_local.LocalRunner(tmp_path, 1, PROGRAM).run([job(1), job(2)], lambda: False))
    assert order == ["warm 2", "run", "run"]
