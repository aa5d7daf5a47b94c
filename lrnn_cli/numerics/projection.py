"""The discrete Radon transform as a torch operator, with its exact adjoint.

`Projector` holds a sparse matrix A (rays x pixels) and its transpose, both in CSR with int32 indices, and
applies them inside an autograd Function: the backward pass is one more sparse product. (Plain autograd
through a CSR product is two hundred times slower.) Where the two matrices would pass a memory limit, the
entries are computed anew, view by view, in every product: the same numbers up to rounding, slower, with next
to no memory.

Geometry and sign conventions: `lrnn_cli.numerics.scan_geometry`. Weights: `lrnn_cli.numerics.ray_weights`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp
import torch

from lrnn_cli.numerics.ray_weights import MODELS, expected_entries
from lrnn_cli.numerics.scan_geometry import Geometry, default_bins

__all__ = ["Geometry", "Projector", "default_bins"]

Model = Literal["joseph", "strip", "rotate"]
Product = Callable[[torch.Tensor], torch.Tensor]


class Projector:
    """Line integrals of square images and their adjoint, differentiable.

    Args:
        geometry: The scan.
        model: "joseph" (default: fastest, smallest error on smooth images), "strip" (exact areas, for
            simulation and wide bins) or "rotate" (rotate-and-sum, for comparison).
        dtype: torch.float32 or torch.float64.
        device: Where the images live.
        memory_limit_mb: Matrices above this limit are not stored.

    Raises:
        ValueError: If the model or the dtype is unknown, or the model cannot do the beam.
    """

    def __init__(
        self,
        geometry: Geometry,
        model: Model = "joseph",
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
        memory_limit_mb: float = 1024.0,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"model: expected {', '.join(MODELS)}, got {model}")
        if dtype not in (torch.float32, torch.float64):
            raise ValueError(f"dtype: expected torch.float32 or torch.float64, got {dtype}")
        if model == "rotate" and geometry.is_fan:
            raise ValueError("rotate: a turned image has parallel rays, the fan beam needs joseph or strip")
        self.geometry = geometry
        self.model: Model = model
        self.dtype = dtype
        self.device = torch.device(device)
        self.memory_limit_mb = memory_limit_mb
        self._matrix: sp.csr_array | None = None
        if self.expected_mb(geometry, model, dtype) <= memory_limit_mb:
            self._matrix = _build(geometry, model, dtype)
        self._prepare()

    @staticmethod
    def expected_mb(geometry: Geometry, model: Model = "joseph", dtype: torch.dtype = torch.float32) -> float:
        """Return the expected memory of the matrix and its transpose in MB, within some 20 %."""
        return 2e-6 * expected_entries(geometry, model) * (4 + dtype.itemsize)

    @property
    def is_matrix(self) -> bool:
        """Whether the matrices are stored; otherwise every product computes the entries anew."""
        return self._matrix is not None

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Line integrals p = A f.

        Args:
            image: f, (..., n, n), in units of 1 / length.

        Returns:
            The sinogram (..., views, bins).

        Raises:
            ValueError: If the image has another size.
        """
        n = self.geometry.size
        if tuple(image.shape[-2:]) != (n, n):
            raise ValueError(f"image: expected shape (..., {n}, {n}), got {tuple(image.shape)}")
        flat = image.to(device=self.device, dtype=self.dtype).reshape(-1, n * n)
        return _Linear.apply(flat, self._forward, self._adjoint).reshape(
            *image.shape[:-2], *self.geometry.sinogram_shape
        )

    def adjoint(self, sinogram: torch.Tensor) -> torch.Tensor:
        """Backprojection Aᵀ p, the exact transpose of `forward`.

        Args:
            sinogram: p, (..., views, bins).

        Returns:
            The image (..., n, n).

        Raises:
            ValueError: If the sinogram has another shape.
        """
        shape, n = self.geometry.sinogram_shape, self.geometry.size
        if tuple(sinogram.shape[-2:]) != shape:
            expected = ", ".join(map(str, shape))
            raise ValueError(f"sinogram: expected shape (..., {expected}), got {tuple(sinogram.shape)}")
        flat = sinogram.to(device=self.device, dtype=self.dtype).reshape(-1, shape[0] * shape[1])
        return _Linear.apply(flat, self._adjoint, self._forward).reshape(*sinogram.shape[:-2], n, n)

    def view_subset(self, views: Sequence[int] | np.ndarray) -> Projector:
        """The same operator with some of the views, in the order given.

        Args:
            views: Indices of the views.

        Returns:
            A projector of the smaller scan; a stored matrix is cut, not computed again.
        """
        part = object.__new__(Projector)
        part.__dict__.update(self.__dict__)
        part.geometry = self.geometry.subset(views)
        if self._matrix is not None:
            n_bins = self.geometry.n_bins
            rows = (np.asarray(views, dtype=np.int64)[:, None] * n_bins + np.arange(n_bins)).reshape(-1)
            part._matrix = self._matrix[rows]
        part._prepare()
        return part

    def matrix(self) -> sp.csr_array | None:
        """The stored matrix A (views · bins, n²), or None; not to be changed."""
        return self._matrix

    def _prepare(self) -> None:
        """Choose the two products."""
        self._forward: Product
        self._adjoint: Product
        if self._matrix is None:
            self._forward, self._adjoint = self._forward_free, self._adjoint_free
        else:
            self._forward = _sparse_product(self._matrix, self.device)
            self._adjoint = _sparse_product(self._matrix.T.tocsr(), self.device)

    def _forward_free(self, images: torch.Tensor) -> torch.Tensor:
        """(c, n²) → (c, views · bins) without a matrix."""
        out = images.new_zeros(images.shape[0], *self.geometry.sinogram_shape)
        for view in range(self.geometry.n_views):
            ray, pixel, weight = MODELS[self.model](self.geometry, view, self.device)
            out[:, view].index_add_(1, ray, images[:, pixel] * weight.to(self.dtype))
        return out.reshape(images.shape[0], -1)

    def _adjoint_free(self, sinograms: torch.Tensor) -> torch.Tensor:
        """(c, views · bins) → (c, n²) without a matrix."""
        out = sinograms.new_zeros(sinograms.shape[0], self.geometry.size**2)
        views = sinograms.reshape(-1, *self.geometry.sinogram_shape)
        for view in range(self.geometry.n_views):
            ray, pixel, weight = MODELS[self.model](self.geometry, view, self.device)
            out.index_add_(1, pixel, views[:, view][:, ray] * weight.to(self.dtype))
        return out


class _Linear(torch.autograd.Function):
    """x → L x for a linear map given with its transpose; may be differentiated any number of times."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, product: Product, transpose: Product) -> torch.Tensor:
        ctx.product, ctx.transpose = product, transpose
        return product(x)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Linear.apply(grads[0], ctx.transpose, ctx.product), None, None


def _build(geometry: Geometry, model: Model, dtype: torch.dtype) -> sp.csr_array:
    """All views as one CSR matrix with int32 indices, (views · bins, n²)."""
    cpu, shape = torch.device("cpu"), (geometry.n_bins, geometry.size**2)
    value = np.float32 if dtype == torch.float32 else np.float64
    blocks = []
    for view in range(geometry.n_views):
        ray, pixel, weight = (column.numpy() for column in MODELS[model](geometry, view, cpu))
        entries = (weight.astype(value), (ray.astype(np.int32), pixel.astype(np.int32)))
        block = sp.coo_array(entries, shape=shape)
        block.has_canonical_format = True  # spares a sort: no product needs order, or minds a repeated entry
        blocks.append(block.tocsr())
    return sp.csr_array(sp.vstack(blocks, format="csr"))


def _sparse_product(matrix: sp.csr_array, device: torch.device) -> Product:
    """The map (c, columns) → (c, rows) of a CSR matrix."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "sparse CSR support is in beta state"
        csr = torch.sparse_csr_tensor(
            torch.from_numpy(matrix.indptr.astype(np.int32, copy=False)),
            torch.from_numpy(matrix.indices.astype(np.int32, copy=False)),
            torch.from_numpy(matrix.data),
            size=matrix.shape,
            check_invariants=False,
        ).to(device)

    def product(x: torch.Tensor) -> torch.Tensor:
        if x.shape[0] == 1:
            return (csr @ x[0])[None]
        return (csr @ x.T.contiguous()).T

    return product
