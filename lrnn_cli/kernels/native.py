"""Building and calling `native.c`, the elementwise part of the product layer in machine code.

A file is compiled once with the C compiler found on the machine (`$CC`, `cc`, `gcc`, `clang`) for this
processor, and kept in the user's cache folder under a name made of its content, the compiler and the
processor; without a compiler the tool works with the `fused` engine instead. `native_jets` and
`native_nadam` build their files in the same way.
"""

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

LANES = 128  # as in native.c
FAMILY_NUMBERS = {"sin": 0, "spder": 1, "spder-sqrt": 2, "gauss": 3, "tanh": 4, "relu": 5}
SOURCE = Path(__file__).with_name("native.c")
# No -ffast-math: rounding to integers by adding 1.5 * 2^23, and NaN as the sign of divergence, must survive.
FLAGS = ("-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")


def cache_folder() -> Path:
    """Return the folder of compiled kernels, `$LRNN_CACHE` or `lrnn` in the user's cache folder."""
    if custom := os.environ.get("LRNN_CACHE"):
        return Path(custom)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lrnn"


def compiler() -> str | None:
    """Return the path of the C compiler, or None when the machine has none (or `LRNN_NO_COMPILER` is set)."""
    if os.environ.get("LRNN_NO_COMPILER"):
        return None
    names = [os.environ.get("CC", ""), "cc", "gcc", "clang"]
    return next((found for name in names if name and (found := shutil.which(name))), None)


def _processor() -> str:
    """Return what `-march=native` depends on: the processor's model and instruction sets."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(
            sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
        )
    except OSError:
        return platform.processor()


@lru_cache
def library_path(source: Path | None = None) -> Path | None:
    """Return where the compiled kernel of a file, of `SOURCE` by default, is or would be.

    Args:
        source: the file.

    Returns:
        the path; None without a compiler.
    """
    source = source or SOURCE
    if (program := compiler()) is None:
        return None
    stat = os.stat(program)
    recipe = [program, stat.st_size, stat.st_mtime_ns, FLAGS, platform.machine(), _processor()]
    digest = hashlib.sha256(repr(recipe).encode() + source.read_bytes()).hexdigest()[:16]
    return cache_folder() / f"{source.stem}-{digest}.so"


def is_built(source: Path | None = None) -> bool:
    """Tell whether calling the compiled kernel costs no compilation."""
    path = library_path(source)
    return path is not None and path.exists()


@lru_cache
def load(source: Path | None = None) -> ctypes.CDLL | None:
    """Compile if needed and load the kernel of a file, of `SOURCE` by default.

    The library appears under its name only when complete, so that runs started together cannot meet half a
    file.

    Args:
        source: the file.

    Returns:
        the library; None when it cannot be had here (no compiler, compiler error).
    """
    source = source or SOURCE
    path, program = library_path(source), compiler()
    if path is None or program is None:
        return None
    try:
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=path.parent) as folder:
                built = Path(folder) / "native.so"
                command = [program, *FLAGS, str(source), "-o", str(built), "-lm"]
                subprocess.run(command, check=True, capture_output=True, timeout=120)
                built.replace(path)
        if hasattr(os, "getuid") and os.stat(path).st_uid not in (os.getuid(), 0):
            return None  # somebody else's file in a shared folder is not executed
        return ctypes.CDLL(str(path))
    except (OSError, subprocess.SubprocessError):
        return None


def is_float_on_cpu(dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether this is what the compiled code works on."""
    return dtype == torch.float32 and device.type == "cpu"


def supports(family: str, dtype: torch.dtype, device: torch.device) -> bool:
    """Tell whether the compiled kernel has this family, precision and device."""
    return family in FAMILY_NUMBERS and is_float_on_cpu(dtype, device)


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """Return the address of a tensor's first number."""
    return ctypes.c_void_p(tensor.data_ptr())


def _sizes(z: Tensor, amplitude: Tensor) -> list[ctypes.c_long]:
    n, n_factors, n_neurons = z.shape
    return [ctypes.c_long(k) for k in (n, n_factors, n_neurons, amplitude.shape[0])]


def forward(
    library: ctypes.CDLL,
    z: Tensor,
    components: list[Tensor],
    phi: Tensor,
    *,
    family: str,
    gamma: float,
    offset: float,
    centre: float,
) -> None:
    """Write phi (n, R) of z (n, D, R) and components a, w, c (M, D, R): contiguous float32 on the CPU."""
    library.lrnn_forward(
        FAMILY_NUMBERS[family],
        *_sizes(z, components[0]),
        pointer(z),
        *map(pointer, components),
        ctypes.c_float(gamma),
        ctypes.c_float(offset),
        ctypes.c_float(centre),
        pointer(phi),
    )


def backward_(
    library: ctypes.CDLL,
    z: Tensor,
    components: list[Tensor],
    dphi: Tensor,
    sums: list[Tensor],
    *,
    family: str,
    gamma: float,
    offset: float,
    centre: float,
) -> None:
    """Overwrite z (n, D, R) by the gradient dz, and add to sums = [da, dw, dc], each (M, D, R)."""
    scratch = z.new_empty(2 * (components[0].shape[0] + 1) * z.shape[1] * LANES)
    library.lrnn_backward(
        FAMILY_NUMBERS[family],
        *_sizes(z, components[0]),
        pointer(z),
        *map(pointer, components),
        ctypes.c_float(gamma),
        ctypes.c_float(offset),
        ctypes.c_float(centre),
        pointer(dphi),
        *map(pointer, sums),
        pointer(scratch),
    )


def norm_forward(
    library: ctypes.CDLL, x: Tensor, weight: Tensor, bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return LayerNorm of the rows of x (n, R), and their mean and 1 / deviation, (n, 2), in float32."""
    y, moments = torch.empty_like(x), x.new_empty(x.shape[0], 2)
    library.lrnn_norm_forward(
        *map(ctypes.c_long, x.shape),
        *map(pointer, (x, weight, bias)),
        ctypes.c_float(eps),
        *map(pointer, (y, moments)),
    )
    return y, moments


def norm_backward(
    library: ctypes.CDLL, x: Tensor, weight: Tensor, moments: Tensor, dy: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients by x (n, R), weight and bias (R,) of what `norm_forward` computes."""
    dx, dweight, dbias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(weight)
    library.lrnn_norm_backward(
        *map(ctypes.c_long, x.shape), *map(pointer, (x, weight, moments, dy, dx, dweight, dbias))
    )
    return dx, dweight, dbias


def probe(library: ctypes.CDLL, family: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return sigma(x) and its slope as the kernel computes them, to measure its error."""
    value, slope = torch.empty_like(x), torch.empty_like(x)
    pointers = map(pointer, (x, value, slope))
    library.lrnn_probe(FAMILY_NUMBERS[family], ctypes.c_long(x.numel()), *pointers)
    return value, slope
