"""The Triton engine: its kernels in the interpreter, in a process of its own, and how it is chosen."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.kernels import fused_jets, triton, triton_jets
from lrnn_cli.kernels.dispatch import Engine, choose_engine, product_layer
from tests.kernels.support import draw

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
HAS_TRITON = importlib.util.find_spec("triton") is not None


def choose(asked="auto", device=CUDA, **changes):
    return choose_engine(asked, **{"family": "spder", "dtype": torch.float32, "device": device, **changes})


@pytest.fixture
def gpu(monkeypatch):
    """A GPU of a modern kind, as far as choosing goes, on which Triton works."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device=None: (9, 0))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(triton, "_failure", lambda device: None)
    monkeypatch.setattr(triton_jets, "_failure", lambda device: None)
    return monkeypatch


@pytest.mark.skipif(not HAS_TRITON, reason="triton is for Linux")
@pytest.mark.parametrize("name", ["interpreted_triton.py", "interpreted_triton_jets.py"])
def test_the_kernels_in_the_interpreter(name):
    """Their tests are in files of their own: Triton decides when imported whether it interprets."""
    tests = Path(__file__).with_name(name)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", str(tests)],
        env={**os.environ, "TRITON_INTERPRET": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "passed" in done.stdout
    assert "skipped" not in done.stdout


COMPILE = """
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource, compile
from lrnn_cli.kernels import triton, triton_code, triton_jets, triton_jets_code
pointers = "x weight z bias amplitude frequency phase"
for kernel, more in ((triton_code.forward_kernel, "phi"), (triton_code.backward_kernel, "dphi dz sums")):
    for few, capability in ((0, 90), (2, 80), (0, 75)):
        tile = dict(triton.TILES[kernel.__name__])
        warps = tile.pop("num_warps")
        constants = {"FAMILY": "spder", "FEW": few, **tile}
        constants |= {"ALONE": few > 0} if more != "phi" else {}
        kinds = dict.fromkeys(f"{pointers} {more}".split(), "*fp32")
        kinds |= dict.fromkeys("n d n_factors n_neurons n_components".split(), "i32")
        kinds |= dict.fromkeys("gamma offset centre".split(), "fp32") | dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature=kinds, constexprs=constants)
        done = compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps})
        assert done.asm["cubin"] and done.metadata.shared <= 64 * 1024
for kernel, pointers, sizes, more in (
    (triton_code.norm_forward_kernel, "x weight bias y moments", "n n_neurons", {"eps": "fp32"}),
    (triton_code.norm_backward_kernel, "x weight moments dy dx sums", "n n_neurons", {}),
    (triton_code.split_kernel, "t parts", "n d padded", {}),
):
    constants = {"SECOND": False, "B": 1024} if "parts" in pointers else {"BN": triton.NORM_ROWS, "BR": 256}
    constants |= {"TURNS": triton.NORM_TURNS} if "sums" in pointers else {}
    kinds = dict.fromkeys(pointers.split(), "*fp32") | dict.fromkeys(sizes.split(), "i32") | more
    kinds |= dict.fromkeys(constants, "constexpr")
    source = ASTSource(kernel, signature=kinds, constexprs=constants)
    assert compile(source, target=GPUTarget("cuda", 90, 32)).asm["cubin"]
jets = "z along bend amplitude frequency phase"
for kernel, more in (
    (triton_jets_code.forward_kernel, "value gradient laplacian"),
    (triton_jets_code.backward_kernel,
     "by_value by_gradient by_laplacian before before_along before_bend sums"),
):
    for coordinates, capability in ((1, 90), (2, 80), (3, 75), (10, 90)):
        padded, points = triton_jets._tile(coordinates)
        constants = {"FAMILY": "spder", "GAMMA": 0.7, "OFFSET": 1.0, "CENTRE": 0.1}
        constants |= {"MP": padded, "BN": points, "BR": triton_jets.NEURONS}
        constants |= {"ONE_ALONG": True, "ONE_BEND": True} if "sums" in more else {}
        kinds = dict.fromkeys(f"{jets} {more}".split(), "*fp64")
        kinds |= dict.fromkeys("n m n_factors n_neurons n_components along_point bend_point".split(), "i32")
        kinds |= {"along_axis": "i64", "axis": "i64"} | dict.fromkeys(constants, "constexpr")
        source = ASTSource(kernel, signature={k: kinds[k] for k in kernel.arg_names}, constexprs=constants)
        done = compile(source, target=GPUTarget("cuda", capability, 32),
                       options={"num_warps": max(triton_jets.FEWEST_WARPS, points)})
        assert done.asm["cubin"] and "f32>" not in done.asm["ttir"]  # all in double precision
print("compiled")
"""


@pytest.mark.slow
@pytest.mark.skipif(not HAS_TRITON, reason="triton is for Linux")
def test_the_kernels_compile_for_gpus(tmp_path):
    """No GPU is needed for that: what the interpreter lets pass, the compiler may not."""
    env = {
        **os.environ,
        "TRITON_CACHE_DIR": str(tmp_path),
        "TRITON_INTERPRET": "0",
        "TRITON_DEFAULT_FP_FUSION": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=env,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert done.stdout == "compiled\n", done.stderr[-3000:]


def test_auto_takes_it_on_a_gpu(gpu):
    assert (choose().name, choose().reason) == ("triton", "Triton kernels on cuda")
    assert choose("triton").reason == "asked for"
    assert choose("fused").name == "fused"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"dtype": torch.float64}, "the Triton kernel has no 'spder' in float64 on cuda"),
        ({"family": "wavelet"}, "the Triton kernel has no 'wavelet' in float32 on cuda"),
    ],
)
def test_what_it_has_not(gpu, changes, reason):
    assert (choose(**changes).name, choose(**changes).reason) == ("fused", reason)
    with pytest.raises(ConfigError) as caught:
        choose("triton", **changes)
    assert str(caught.value) == f"engine triton: {reason}; use --engine auto"


def test_laplacians_on_a_gpu(gpu):
    """In double precision; what the kernels have not goes to tensor code, with the reason."""
    assert choose(dtype=torch.float64, laplacian=True) == Engine("triton", "Triton kernels on cuda")
    single = "the Triton kernels have no Laplacian of 'spder' in float32 on cuda"
    assert choose(laplacian=True) == Engine("fused", single)
    with pytest.raises(
        ConfigError, match="engine triton: the Triton kernels have no Laplacian of 'spder' in"
    ):
        choose("triton", laplacian=True)
    gpu.setattr(triton_jets, "_failure", lambda device: "no ptxas")
    assert choose(dtype=torch.float64, laplacian=True) == Engine("fused", "no ptxas")


def test_without_the_package(gpu):
    gpu.setattr(importlib.util, "find_spec", lambda name: None)
    assert (choose().name, choose().reason) == ("fused", "the package triton is not installed")
    with pytest.raises(ConfigError, match="not installed; use --engine auto"):
        choose("triton")


def test_an_old_gpu(gpu):
    gpu.setattr(torch.cuda, "get_device_capability", lambda device=None: (6, 1))
    assert choose().reason == "a GPU of compute capability 6.1 is too old for Triton"


def test_a_toolchain_that_fails(gpu):
    gpu.setattr(triton, "_failure", lambda device: "Triton failed on this machine (RuntimeError: no ptxas)")
    assert choose().name == "fused"
    assert choose().reason == "Triton failed on this machine (RuntimeError: no ptxas)"


def test_without_a_gpu(monkeypatch):
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for device in (CPU, CUDA):
        with pytest.raises(ConfigError) as caught:
            choose("triton", device)
        assert str(caught.value) == "engine triton: Triton needs an NVIDIA GPU; use --engine auto"
    assert choose(device=CPU).name in ("compiled", "fused")


def torch_norm(x, weight, bias, eps):
    moments = torch.stack([x.mean(1), (x.var(1, correction=0) + eps).rsqrt()], 1)
    return torch.nn.functional.layer_norm(x, weight.shape, weight, bias, eps), moments


def torch_norm_gradients(x, weight, moments, dy):
    leaves = [t.clone().requires_grad_() for t in (x, weight, torch.zeros_like(weight))]
    y = torch.nn.functional.layer_norm(leaves[0], weight.shape, *leaves[1:], 1e-5)
    return torch.autograd.grad(y, leaves, dy)


def probe(monkeypatch, layer):
    """What the trial run says of a layer in place of the kernels."""
    monkeypatch.setattr(triton, "product_layer", layer)
    monkeypatch.setattr(triton, "norm_forward", torch_norm)
    monkeypatch.setattr(triton, "norm_backward", torch_norm_gradients)
    return triton._failure.__wrapped__(CPU)


def test_the_trial_run(monkeypatch):
    from lrnn_cli.kernels import reference

    assert probe(monkeypatch, reference.product_layer) is None

    def broken(*inputs, **constants):
        raise RuntimeError("ptxas not found\nmore of it")

    expected = "Triton failed on this machine (RuntimeError: ptxas not found)"
    assert probe(monkeypatch, broken) == expected

    for wrong in (1.001, torch.nan):
        found = probe(monkeypatch, lambda *t, wrong=wrong, **c: reference.product_layer(*t, **c) * wrong)
        assert found == "the Triton kernel of coordinates gave wrong numbers on this machine"
    monkeypatch.setattr(sys.modules[__name__], "torch_norm_gradients", lambda x, w, m, dy: (dy, w, w))
    found = probe(monkeypatch, reference.product_layer)
    assert found == "the Triton kernel of LayerNorm gave wrong numbers on this machine"


def test_the_trial_run_of_laplacians(monkeypatch):
    tensors = fused_jets.JetProduct("spder", 0.7, 1.0, 0.1, code=None)
    write = lambda *tensors_, family, constants: tensors.forward(*tensors_)  # noqa: E731
    add = lambda *tensors_, family, constants: tensors.backward_(*tensors_)  # noqa: E731
    monkeypatch.setattr(triton_jets, "forward", write)
    monkeypatch.setattr(triton_jets, "backward_", add)
    assert triton_jets._failure.__wrapped__(CPU) is None

    def wrong(*tensors_, family, constants):
        tensors.backward_(*tensors_)
        tensors_[-1][-1].mul_(1 + 1e-7)  # dc, as single precision would have it

    monkeypatch.setattr(triton_jets, "backward_", wrong)
    expected = "the Triton kernel of Laplacians gave wrong numbers on this machine"
    assert triton_jets._failure.__wrapped__(CPU) == expected


def test_a_model_told_to_use_it_still_runs_on_the_cpu(monkeypatch):
    """As when memory is estimated: dispatch takes tensor code there."""
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    inputs = draw(5, 2, 3, 4, 1, seed=0, dtype=torch.float32)
    constants = {"family": "sin", "gamma": 0.5, "offset": 1.0, "centre": 0.0}
    one, other = (product_layer(*inputs, engine=name, **constants) for name in ("triton", "fused"))
    assert torch.equal(one, other)
