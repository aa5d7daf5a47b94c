"""The compiled kernel: errors of its elementary functions, and building, keeping and not finding it."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.kernels import native
from lrnn_cli.kernels.dispatch import ENGINES, choose_engine
from lrnn_cli.kernels.families import FAMILIES
from tests import references
from tests.kernels.support import compiled_engine

COMPILED = [family for family in native.FAMILY_NUMBERS if compiled_engine()]
CPU = {"dtype": torch.float32, "device": torch.device("cpu")}
BOUND = 1e-6  # as native.c promises
LOAD = """
import sys
from pathlib import Path
from lrnn_cli.kernels import native
native.SOURCE = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
sys.exit(0 if native.load() is not None else 1)
"""


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and nothing remembered of compilers and kernels before or after the test."""

    def forget():
        native.library_path.cache_clear()
        native.load.cache_clear()

    monkeypatch.setenv("LRNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("LRNN_NO_COMPILER", raising=False)
    forget()
    yield tmp_path / "cache"
    forget()


@pytest.fixture
def slight(monkeypatch, tmp_path):
    """A source that compiles in no time."""
    source = tmp_path / "slight.c"
    source.write_text("int lrnn_forward(void) { return 7; }\n")
    monkeypatch.setattr(native, "SOURCE", source)


def choose(asked="auto", family="sin", **changes):
    return choose_engine(asked, family=family, **{**CPU, **changes})


def test_numbers_of_families():
    assert sorted(native.FAMILY_NUMBERS.values()) == list(range(len(native.FAMILY_NUMBERS)))
    assert set(native.FAMILY_NUMBERS) <= set(FAMILIES)


@pytest.mark.parametrize("family", COMPILED)
def test_error_of_the_elementary_functions(family):
    near_pi = np.concatenate([k * math.pi / 2 + np.linspace(-1e-3, 1e-3, 21) for k in range(-100, 101)])
    tiny = np.concatenate([np.geomspace(1e-30, 1, 500), [0.0]])
    wide = np.concatenate([np.geomspace(1, 1e4, 4000), np.linspace(0, 12, 6001)])
    x = np.concatenate([near_pi, tiny, -tiny, wide, -wide]).astype(np.float32)
    found = native.probe(native.load(), family, torch.from_numpy(x))
    for values, exact in zip(found, references.FAMILIES[family], strict=True):
        expected = np.array([exact(float(u)) for u in x])
        size = np.sqrt(np.abs(x)) if family == "spder-sqrt" else np.abs(expected)
        error = np.abs(values.numpy() - expected) / np.maximum(1, size)
        assert error.max() <= BOUND, f"{error.max():.2e} at {x[error.argmax()]}"


@pytest.mark.parametrize("family", COMPILED)
def test_error_relative_to_the_value_itself(family):
    """Where arguments are small and so, of odd functions, values are."""
    half = np.geomspace(1e-15, 1, 3000).astype(np.float32)
    x = np.concatenate([half, -half])
    values, _ = native.probe(native.load(), family, torch.from_numpy(x))
    expected = np.array([references.FAMILIES[family][0](float(u)) for u in x])
    error = np.abs(values.numpy() - expected)
    assert (error <= BOUND * np.abs(expected)).all()


@pytest.mark.parametrize("family", COMPILED)
def test_nan_and_far_arguments(family):
    x = torch.tensor([math.nan, 1e30, -1e30])
    value, slope = native.probe(native.load(), family, x)
    assert value[0].isnan()
    if family in ("gauss", "tanh", "relu"):
        expected = [references.FAMILIES[family][0](u) for u in (1e30, -1e30)]
        np.testing.assert_allclose(value[1:].tolist(), expected, rtol=1e-6, atol=1e-30)
        assert slope[1:].isfinite().all()


def test_the_choice_and_its_reasons(monkeypatch):
    assert choose("reference") == choose("reference", dtype=torch.float64)
    assert (choose("fused").name, choose("fused").reason) == ("fused", "asked for")
    for family, dtype, reason in [
        ("sin", torch.float64, "the compiled kernel has no 'sin' in float64 on cpu"),
        ("bspline", torch.float32, "the compiled kernel has no 'bspline' in float32 on cpu"),
    ]:
        assert not native.supports(family, dtype, torch.device("cpu"))
        engine = choose(family=family, dtype=dtype)
        assert (engine.name, engine.reason) == ("fused", reason)
        with pytest.raises(ConfigError, match=f"^engine compiled: {reason}; use --engine auto$"):
            choose("compiled", family=family, dtype=dtype)
    with pytest.raises(ConfigError, match="float32 on cuda; use --engine auto"):
        choose("compiled", device=torch.device("cuda"))


def test_an_unknown_engine():
    with pytest.raises(ConfigError) as caught:
        choose("warp")
    assert str(caught.value) == f"engine: expected one of {', '.join(ENGINES)}, got 'warp'"


def test_without_a_compiler(cache, monkeypatch):
    monkeypatch.setenv("PATH", str(cache))
    monkeypatch.delenv("CC", raising=False)
    assert native.compiler() is None
    assert native.library_path() is None
    assert native.load() is None
    assert not native.is_built()
    assert (choose().name, choose().reason) == ("fused", "no C compiler on this machine")
    with pytest.raises(ConfigError) as caught:
        choose("compiled")
    assert str(caught.value) == "engine compiled: no C compiler on this machine; use --engine auto"


def test_the_compiler_can_be_declined(cache, monkeypatch):
    monkeypatch.setenv("LRNN_NO_COMPILER", "1")
    assert native.compiler() is None
    assert choose().name == "fused"


def test_a_compiler_that_fails(cache, monkeypatch, tmp_path):
    broken = tmp_path / "cc"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert native.compiler() == str(broken)
    assert (choose().name, choose().reason) == (
        "fused",
        "compiling or loading native.c failed on this machine",
    )
    with pytest.raises(ConfigError, match="compiling or loading"):
        choose("compiled")
    assert list(cache.iterdir()) == []  # nothing half done is left behind


@pytest.mark.parametrize("engine", compiled_engine())
def test_a_short_run_does_not_wait_for_the_compiler(cache, engine, slight):
    short = choose(long_run=False)
    assert (short.name, short.reason) == ("fused", "too short a run to pay for compiling")
    assert not native.is_built()
    assert choose(engine, long_run=False).name == "compiled"  # asked for by name
    assert native.is_built()
    assert choose(long_run=False).name == "compiled"


@pytest.mark.parametrize("engine", compiled_engine())
def test_built_once_and_kept(cache, engine, slight):
    assert choose().name == engine
    (built,) = cache.iterdir()
    assert built == native.library_path()
    stamp = built.stat().st_mtime_ns
    native.load.cache_clear()
    assert native.load().lrnn_forward() == 7
    assert built.stat().st_mtime_ns == stamp


@pytest.mark.parametrize("engine", compiled_engine())
def test_another_source_is_another_file(cache, engine, slight, monkeypatch, tmp_path):
    first = native.library_path()
    other = tmp_path / "other.c"
    other.write_text("int lrnn_forward(void) { return 8; }\n")
    monkeypatch.setattr(native, "SOURCE", other)
    native.library_path.cache_clear()
    assert native.library_path() != first


@pytest.mark.parametrize("engine", compiled_engine())
def test_a_damaged_file_is_no_kernel(cache, engine, slight):
    cache.mkdir()
    native.library_path().write_bytes(b"\x7fELF damaged")
    assert native.load() is None
    assert choose().name == "fused"


@pytest.mark.parametrize("engine", compiled_engine())
def test_two_processes_building_at_once(cache, engine, slight):
    env = {**os.environ, "PYTHONPATH": str(Path(native.__file__).parents[2])}
    command = [sys.executable, "-c", LOAD, str(native.SOURCE)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen(command, env=env, **pipes) for _ in range(2)]
    assert [process.stdout.readline() for process in started] == ["ready\n", "ready\n"]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in started:
        process.communicate(timeout=120)
    assert [process.returncode for process in started] == [0, 0]
    assert list(cache.iterdir()) == [native.library_path()]


def test_the_cache_folder(monkeypatch):
    monkeypatch.setenv("LRNN_CACHE", "/a/b")
    assert native.cache_folder() == Path("/a/b")
    monkeypatch.delenv("LRNN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/c")
    assert native.cache_folder() == Path("/c/lrnn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/d")
    assert native.cache_folder() == Path("/d/.cache/lrnn")


def test_cc_is_preferred(monkeypatch, tmp_path):
    mine = tmp_path / "mycc"
    shutil.copy("/bin/sh", mine)
    monkeypatch.setenv("CC", str(mine))
    assert native.compiler() == str(mine)
