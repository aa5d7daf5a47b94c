"""`lrnn doctor`: exit code 0 whatever is missing, and an exact word on how to get it."""

import importlib.util
import shutil
import sys
from pathlib import Path

import torch

from tests.cli.conftest import Lrnn

EXTRAS = (("medical", "pydicom"), ("speech", "pystoi"), ("study", "distributed"), ("fem", "skfem"))


def test_the_record(lrnn: Lrnn, tmp_path: Path) -> None:
    done = lrnn("doctor", "--json", env={"LRNN_CACHE": str(tmp_path / "cache")})
    assert (done.code, done.err) == (0, "")
    record = done.json()
    assert record["env"]["torch"] == torch.__version__
    assert record["env"]["executable"] == sys.executable
    assert record["packages"]["numpy"] == sys.modules["numpy"].__version__
    engines = {engine["engine"]: engine for engine in record["engines"]}
    assert list(engines) == ["auto", "reference", "fused", "compiled", "triton"]
    assert engines["reference"]["available"] and engines["fused"]["available"]
    has_compiler = any(map(shutil.which, ("cc", "gcc", "clang")))
    assert engines["compiled"]["available"] == has_compiler
    assert engines["triton"]["available"] == torch.cuda.is_available()
    assert engines["triton"]["available"] or engines["triton"]["reason"] == "Triton needs an NVIDIA GPU"
    waits = record["equations"]["reason"].endswith("does it at the first long run")
    assert waits if has_compiler else record["equations"]["engine"] == "fused"
    cache = {"path": str(tmp_path / "cache"), "writable": True, "kernel_built": False}
    assert record["cache"] == cache
    assert not (tmp_path / "cache").exists()  # looking leaves no trace
    assert record["devices"][0]["device"] == "cpu"
    assert len(record["devices"]) > 1 or torch.cuda.is_available()
    assert "WAV" in record["codecs"]["soundfile"]["formats"]
    assert record["codecs"]["pillow"]["jpg"]
    for name, package in EXTRAS:
        present = importlib.util.find_spec(package) is not None
        assert record["extras"][name]["present"] == present
        assert present or record["extras"][name]["install"] == f"pip install 'lrnn[{name}]'"


def test_what_is_absent_is_told_with_the_remedy(lrnn: Lrnn, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    env = {"LRNN_NO_COMPILER": "1", "LRNN_CACHE": str(tmp_path / "file" / "cache"), "COLUMNS": "20"}
    done = lrnn("doctor", env=env)
    assert (done.code, done.err) == (0, "")
    lines = {line.split("  ")[0]: line for line in done.out.splitlines()}
    assert lines["engine compiled"].endswith("not available: no C compiler on this machine")
    assert "would be fused: no C compiler on this machine" in lines["engine auto"]
    assert "would be fused: no C compiler on this machine" in lines["engine of equations"]
    assert "NOT writable: set LRNN_CACHE" in lines["cache"]
    assert lines["python"].endswith(".".join(map(str, sys.version_info[:3])))
    for name, package in EXTRAS:
        if importlib.util.find_spec(package) is None:
            assert lines[f"lrnn[{name}]"].endswith(f"absent; pip install 'lrnn[{name}]'")
    assert len({line.index(line.split("  ")[-1].strip()) for line in done.out.splitlines()[:3]}) == 1


def test_a_broken_library_is_a_finding(lrnn: Lrnn, tmp_path: Path) -> None:
    # a stand-in that fails as soundfile does where libsndfile is missing
    (tmp_path / "soundfile.py").write_text("raise OSError('sndfile library not found')\n")
    done = lrnn("doctor", "--json", first_on_path=tmp_path)
    assert done.code == 0
    assert done.json()["codecs"]["soundfile"] == {"problem": "OSError: sndfile library not found"}
    assert "sndfile library not found" in lrnn("doctor", first_on_path=tmp_path).out
