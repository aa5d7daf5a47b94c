"""On Linux every engine that needs no GPU is there: one that is missing is a failure, not fewer tests.

`LRNN_TESTS_WITHOUT` names what a machine lacks on purpose, as "compiler triton".
"""

import importlib.util
import os
import platform
import sys

import pytest
import torch

from lrnn_cli.kernels import native, native_jets, native_nadam
from lrnn_cli.kernels.dispatch import choose_engine

WITHOUT = os.environ.get("LRNN_TESTS_WITHOUT", "").split()
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asked for on Linux only")
CPU = torch.device("cpu")


@pytest.mark.skipif("compiler" in WITHOUT, reason="LRNN_TESTS_WITHOUT has compiler")
def test_machine_code_can_be_built_and_is_chosen() -> None:
    assert native.compiler() is not None
    for kernel in (native, native_jets, native_nadam):
        assert kernel.load() is not None, kernel.SOURCE.name
    assert choose_engine("auto", family="spder", dtype=torch.float32, device=CPU).name == "compiled"
    assert (
        choose_engine("auto", family="spder", dtype=torch.float64, device=CPU, laplacian=True).name
        == "compiled"
    )


@pytest.mark.skipif("triton" in WITHOUT, reason="LRNN_TESTS_WITHOUT has triton")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the extra `dev` has triton on x86_64 only")
def test_triton_is_there_for_its_interpreter() -> None:
    assert importlib.util.find_spec("triton") is not None
