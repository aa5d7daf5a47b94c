"""The product layer on NVIDIA GPUs through Triton: whether it is possible here, and calling `triton_code`.

Of a few inputs, that is coordinates, one kernel makes phi. Of more, the projection is a matrix product of the
library, in chunks of points, so that memory does not grow with the batch, and the kernel does the rest.
Backward, one kernel writes dz, of which dW and dx are matrix products; of coordinates, which want no
gradient, it sums up dW itself. Projections are kept for it where they fit, and made again where not. Without
a GPU the same kernels run in Triton's interpreter (`TRITON_INTERPRET=1`, set before the start), which is how
they are tested; that is slow and for tests only.
"""

import contextlib
import importlib
import importlib.util
import os
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from lrnn_cli.kernels import precision, reference
from lrnn_cli.kernels.families import FAMILIES

# points and neurons of a tile, and the groups of 32 threads that share it
TILES = {
    "forward_kernel": {"BN": 32, "BR": 32, "num_warps": 4},
    "backward_kernel": {"BN": 16, "BR": 64, "num_warps": 4},
}
SPLIT_BLOCK = 1024  # numbers that a program splits
NORM_ROWS, NORM_TURNS = 4, 8  # rows of a tile of LayerNorm, and tiles that a program sums up
WIDEST_NORM = 4096  # neurons: a program holds whole rows
ALIGNED = 4  # float32 numbers: matrix products are fast where rows begin at multiples of 16 bytes
NARROW = 8  # inputs up to which a projection is summed one by one, in full precision: coordinates
CHUNK_BYTES = 2**29  # of the projections (points, D, R) of a chunk, up to which they are kept, and of dz
SPLIT_FROM = 2**31  # FLOP of a projection from which splitting in parts pays
OLDEST = (7, 0)  # compute capability that Triton needs
PROBE_ERROR = 1e-4  # of the probe against the reference, relative to the largest number of each tensor


def interpreted() -> bool:
    """Tell whether Triton runs its kernels in the interpreter, on the CPU."""
    return os.environ.get("TRITON_INTERPRET", "0").lower() in ("1", "true", "on")


def supports(family: str, dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether the kernels have this family, precision and device."""
    return family in FAMILIES and dtype == torch.float32 and is_here(device)


def is_here(device: torch.device) -> bool:
    """Tell whether kernels can run on a device: a GPU, or the CPU for the interpreter."""
    return device.type == "cuda" or (device.type == "cpu" and interpreted())


def obstacle(family: str, dtype: torch.dtype, device: torch.device) -> str | None:
    """Return why the kernels cannot be used here, in words, None if they can; the first call tries them."""
    if (reason := unusable(device)) is not None:
        return reason
    if not supports(family, dtype, device):
        return f"the Triton kernel has no {family!r} in {str(dtype).removeprefix('torch.')} on {device.type}"
    return _failure(device)


def unusable(device: torch.device) -> str | None:
    """Return why Triton itself cannot be used on a device, in words, None if it can."""
    if not (torch.cuda.is_available() if device.type == "cuda" else interpreted()):
        return "Triton needs an NVIDIA GPU"
    if importlib.util.find_spec("triton") is None:
        return "the package triton is not installed"
    if device.type == "cuda" and (found := torch.cuda.get_device_capability(device)) < OLDEST:
        return f"a GPU of compute capability {found[0]}.{found[1]} is too old for Triton"
    return None


@lru_cache
def _failure(device: torch.device) -> str | None:
    """Run tiny layers and a norm on a device; return what is wrong, None when all kernels work."""
    return failure_of(_trials(device), PROBE_ERROR)


Trials = Iterable[tuple[str, list[tuple[Tensor, Tensor]]]]


def failure_of(trials: Trials, tolerance: float) -> str | None:
    """Return what is wrong with kernels, in words, None if nothing is.

    Args:
        trials: the name of each kernel, and what it computes beside what it should.
        tolerance: of the differences, relative to the largest number of each tensor.

    Returns:
        the reason: the first kernel with wrong numbers, or the error with which Triton failed.
    """
    try:
        for name, pairs in trials:
            if not all(_close(*pair, tolerance) for pair in pairs):
                return f"the Triton kernel of {name} gave wrong numbers on this machine"
    except Exception as error:  # a toolchain fails in more ways than can be listed; the reason is shown
        first = (str(error).splitlines() or [""])[0][:200]
        return f"Triton failed on this machine ({type(error).__name__}: {first})"
    return None


def _close(found: Tensor, expected: Tensor, tolerance: float) -> bool:
    return bool((found - expected).abs().max() <= tolerance * expected.abs().max().clamp(min=1))


def _trials(device: torch.device) -> Iterator[tuple[str, list[tuple[Tensor, Tensor]]]]:
    """Yield what every kernel computes beside what it should, by its name."""
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(shape, generator=generator).to(device).requires_grad_()  # noqa: E731
    constants: dict[str, Any] = {"family": "spder", "gamma": 0.7, "offset": 1.0, "centre": 0.1}
    for name, d in (("coordinates", 2), ("hidden layers", NARROW + 1)):
        inputs = [draw(5, d), draw(2, 3, d), draw(2, 3), *[draw(1, 2, 3) for _ in range(3)]]
        wanted = inputs[1:] if d == 2 else inputs  # coordinates want no gradient
        inputs[0].requires_grad_(d != 2)
        results = []
        for layer in (product_layer, reference.product_layer):
            with torch.enable_grad():
                phi = layer(*inputs, **constants)
                results.append([phi.detach(), *torch.autograd.grad(phi.sum(), wanted)])
        yield name, list(zip(*results, strict=True))
    x, weight, bias = draw(5, 3).detach(), draw(3), draw(3)
    y, moments = norm_forward(x, weight.detach(), bias.detach(), 1e-5)
    with torch.enable_grad():
        leaf = x.clone().requires_grad_()
        expected = torch.nn.functional.layer_norm(leaf, (3,), weight, bias, 1e-5)
        gradients = torch.autograd.grad(expected.square().sum(), (leaf, weight, bias))
    found = norm_backward(x, weight.detach(), moments, 2 * expected.detach())
    yield "LayerNorm", [(y, expected.detach()), *zip(found, gradients, strict=True)]


def on(device: torch.device) -> contextlib.AbstractContextManager[Any]:
    """Make a device the current one, which is where Triton launches."""
    return torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext()


@lru_cache
def kernel_named(name: str, module: str = "triton_code") -> Any:
    """Return a kernel of a module of device code, which imports triton, so only when it is needed."""
    # Triton 3.9 warns where this is left open: sums of products may be fused, as compilers for GPUs do
    os.environ.setdefault("TRITON_DEFAULT_FP_FUSION", "1")
    return getattr(importlib.import_module(f"lrnn_cli.kernels.{module}"), name)


def _launch(kernel: str, tensors: list[Tensor], d: int, components: int, n: int, **meta: Any) -> None:
    n_factors, n_neurons = tensors[3].shape
    tile = TILES[kernel]
    grid = (-(-n // tile["BN"]), -(-n_neurons // tile["BR"]))
    constants = [meta.pop(name) for name in ("gamma", "offset", "centre")]
    with on(tensors[0].device):
        kernel_named(kernel)[grid](
            *tensors, n, d, n_factors, n_neurons, components, *constants,
            FAMILY=meta.pop("family"), FEW=d if d <= NARROW else 0, **meta, **tile,
        )  # fmt: skip


@lru_cache
def _has_tf32(device: torch.device) -> bool:
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= precision.TENSOR_CORES


def _padded(d: int) -> int:
    return -(-d // ALIGNED) * ALIGNED


def split(t: Tensor, *, second: bool) -> Tensor:
    """Return t (n, d) in parts of TF32 precision (n, 3 p): high, high, low; of the second high, low, high.

    p is d up to the next multiple of `ALIGNED`, filled up with zeros.
    """
    (n, d), padded = t.shape, _padded(t.shape[1])
    parts = t.new_empty(n, 3 * padded)
    with on(t.device):
        grid = (-(-n * padded // SPLIT_BLOCK),)
        kernel_named("split_kernel")[grid](t, parts, n, d, padded, SECOND=second, B=SPLIT_BLOCK)
    return parts


class _Projection:
    """Products x W^T (n, D, R); three in TF32 stand for one in float32 where there is much to multiply."""

    def __init__(self, weight: Tensor, n: int) -> None:
        self.matrix = weight.flatten(0, 1)
        self.shape = weight.shape[:2]
        self.in_parts = _has_tf32(weight.device) and 2 * n * weight.numel() >= SPLIT_FROM
        if self.in_parts:
            self.parts = split(self.matrix, second=True)

    def of(self, x: Tensor) -> Tensor:
        """Return the projections (n, D, R) of points (n, d)."""
        if self.in_parts:
            return precision.product(split(x, second=False), self.parts.T, "tf32").unflatten(1, self.shape)
        return (x @ self.matrix.T).unflatten(1, self.shape)


class _Gradients:
    """Products of dz: dW, added up chunk by chunk, and dx, on rows that are aligned."""

    def __init__(self, weight: Tensor, backward: precision.Precision) -> None:
        self.d, self.backward = weight.shape[-1], backward
        self.matrix = self._aligned(weight.flatten(0, 1))
        self.total = torch.zeros_like(self.matrix)

    def _aligned(self, t: Tensor) -> Tensor:
        missing = _padded(self.d) - self.d if self.d > NARROW else 0
        return torch.nn.functional.pad(t, (0, missing)) if missing else t

    def add(self, dz: Tensor, x: Tensor) -> None:
        """Add those of a chunk to dW."""
        precision.add_product_(self.total, dz.T, self._aligned(x), self.backward)

    def of_inputs(self, dz: Tensor) -> Tensor:
        """Return dx of a chunk."""
        return precision.product(dz, self.matrix, self.backward)[:, : self.d]

    def of_weight(self) -> Tensor:
        """Return dW (D R, d)."""
        return self.total[:, : self.d].contiguous()


def _chunks(weight: Tensor, n: int) -> list[slice]:
    """Return parts of range(n) whose projections take at most CHUNK_BYTES."""
    block = TILES["backward_kernel"]["BN"]
    size = max(1, CHUNK_BYTES // (4 * weight[..., 0].numel() * block)) * block
    return [slice(start, min(start + size, n)) for start in range(0, n, size)]


class _TritonLayer(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        inputs, (constants, backward, keep) = [t.contiguous() for t in arguments[:6]], arguments[6:]
        x, weight = inputs[:2]
        (n, d), components = x.shape, inputs[3].shape[0]
        phi = x.new_empty(n, weight.shape[1])
        narrow = d <= NARROW
        project = None if narrow else _Projection(weight, n)
        parts = [slice(0, n)][: n > 0] if project is None else _chunks(weight, n)
        z = x  # of few inputs none is needed
        for part in parts:
            if project is not None:
                z = project.of(x[part])
            tensors = [x[part], weight, z, *inputs[2:], phi[part]]
            _launch("forward_kernel", tensors, d, components, part.stop - part.start, **constants)
        ctx.constants, ctx.precision = constants, backward
        keep = keep and project is not None and len(parts) == 1
        ctx.save_for_backward(*inputs, *([z] if keep else []))
        return phi

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dphi: Tensor) -> tuple[Tensor | None, ...]:
        inputs, kept = ctx.saved_tensors[:6], ctx.saved_tensors[6:]
        x, weight, bias, amplitude, frequency, _ = inputs
        (n, d), components, dphi = x.shape, amplitude.shape[0], dphi.contiguous()
        narrow, wants_dx = d <= NARROW, ctx.needs_input_grad[0]
        alone = narrow and not wants_dx  # nobody reads dz after the kernel
        project = None if narrow or kept else _Projection(weight, n)
        products = None if alone else _Gradients(weight, ctx.precision)
        total = x.new_zeros(3 * components + (d if alone else 0), *bias.shape)
        dx = []
        for part in _chunks(weight, n):
            xs = x[part]
            z = project.of(xs) if project is not None else kept[0] if kept else x
            dz = xs.new_empty(len(xs), *bias.shape)
            sums = xs.new_empty(-(-len(xs) // TILES["backward_kernel"]["BN"]), *total.shape)
            tensors = [xs, weight, z, *inputs[2:], dphi[part], dz, sums]
            _launch("backward_kernel", tensors, d, components, len(xs), **ctx.constants, ALONE=alone)
            total += sums.sum(0)
            if products is not None:
                products.add(dz.flatten(1), xs)
                if wants_dx:
                    dx.append(products.of_inputs(dz.flatten(1)))
        if products is not None:
            dweight = products.of_weight()
        else:
            dweight = total[3 * components :].movedim(0, -1).contiguous()
        da, du_z, du = total[: 3 * components].unflatten(0, (3, components))
        dbias = (frequency * du).sum(0)
        all_dx = (dx[0] if len(dx) == 1 else torch.cat([x[:0], *dx])) if wants_dx else None
        dw = torch.addcmul(du_z, bias, du)
        return all_dx, dweight.view_as(weight), dbias, da, dw, du, None, None, None


def product_layer(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    amplitude: Tensor,
    frequency: Tensor,
    phase: Tensor,
    *,
    family: str,
    gamma: float,
    offset: float,
    centre: float,
    backward: precision.Precision = "full",
) -> Tensor:
    """Same meaning and shapes as `reference.product_layer`; differentiable once; float32.

    Args:
        x: points, (n, d).
        weight: W, (D, R, d).
        bias: b, (D, R).
        amplitude: a, (M, D, R).
        frequency: w, (M, D, R).
        phase: c, (M, D, R).
        family: name of sigma in `FAMILIES`.
        gamma: scale of the component functions.
        offset: 1, or 0 for the plain product of the g.
        centre: constant subtracted from sigma.
        backward: precision of the matrix products for dW and dx.

    Returns:
        phi, (n, R).
    """
    constants = {"family": family, "gamma": gamma, "offset": offset, "centre": centre}
    inputs = (x, weight, bias, amplitude, frequency, phase)
    return _TritonLayer.apply(*inputs, constants, backward, torch.is_grad_enabled())


def can_norm(x: Tensor) -> bool:
    """Tell whether the kernels have LayerNorm for a matrix of this precision, device and width."""
    return x.dtype == torch.float32 and is_here(x.device) and x.shape[1] <= WIDEST_NORM


def norm_forward(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return LayerNorm of the rows of x (n, R), and their mean and 1 / deviation (n, 2)."""
    n, n_neurons = x.shape
    y, moments = torch.empty_like(x), x.new_empty(n, 2)
    with on(x.device):
        kernel_named("norm_forward_kernel")[(max(1, -(-n // NORM_ROWS)),)](
            x, weight, bias, y, moments, n, n_neurons, eps,
            BN=NORM_ROWS, BR=1 << (n_neurons - 1).bit_length(),
        )  # fmt: skip
    return y, moments


def norm_backward(x: Tensor, weight: Tensor, moments: Tensor, dy: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return dx (n, R), dweight and dbias (R,); programs' sums are added in the same order every time."""
    n, n_neurons = x.shape
    programs = max(1, -(-n // (NORM_ROWS * NORM_TURNS)))
    dx, sums = torch.empty_like(x), x.new_empty(programs, 2, n_neurons)
    with on(x.device):
        kernel_named("norm_backward_kernel")[(programs,)](
            x, weight, moments, dy, dx, sums, n, n_neurons,
            BN=NORM_ROWS, BR=1 << (n_neurons - 1).bit_length(), TURNS=NORM_TURNS,
        )  # fmt: skip
    dweight, dbias = sums.sum(0)
    return dx, dweight, dbias
