"""What every reader returns: values on a grid or at points, and enough to write the like again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrnn_cli.numerics.checks import check_dtype
from lrnn_cli.numerics.coords import Grid
from lrnn_cli.numerics.points import Places, Points


@dataclass(frozen=True, eq=False)
class Signal:
    """A sampled signal, its origin and its format.

    Attributes:
        values: The samples, float32 (n_1, …, n_d, c): d axes (row, column for images; time for sound), then
            the channels; (n, c) where `points` says where they were taken.
        kind: What it is, such as "image" or "audio".
        peak: Largest possible value, the peak of PSNR and SSIM: 1 for integer images.
        name: Stem of the file name, "stdin" for standard input; names the run folder.
        path: Path as given, "-" for standard input.
        sha256: Hexadecimal digest of the bytes of the file.
        notes: Sentences for the user about everything that is not as it is in the file.
        format: What the writer of this kind needs to write the values back, JSON-able.
        points: Where the samples lie, float64 (n, d) in [-1, 1]; None for the cell centres of a grid.
    """

    values: np.ndarray
    kind: str
    peak: float
    name: str
    path: str
    sha256: str
    notes: tuple[str, ...] = ()
    format: dict[str, Any] = field(default_factory=dict)
    points: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check the values, once for all readers.

        Raises:
            ValueError: If they are not float32 with at least one axis, channels and one value, the peak is
                not positive, or there is not one point per value.
        """
        check_dtype("values", self.values, "float32")
        if self.values.ndim < 2 or self.values.size == 0:
            raise ValueError(
                f"values: expected shape (n_1, …, n_d, c) without zeros, got {self.values.shape}"
            )
        if not 0 < self.peak < float("inf"):
            raise ValueError(f"peak: expected a positive finite number, got {self.peak}")
        if self.points is not None and (self.values.ndim != 2 or len(self.points) != len(self.values)):
            raise ValueError(
                f"points: expected one per row of values {self.values.shape}, got {self.points.shape}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples per axis, (n_1, …, n_d), without the channels."""
        return self.values.shape[:-1]

    @property
    def places(self) -> Places:
        """Where the samples lie: the cells of a grid over [-1, 1]^d, or scattered points."""
        return Grid(self.shape) if self.points is None else Points(self.points)

    @property
    def resolution(self) -> tuple[int, ...]:
        """Samples per axis; of scattered points those of a grid with as many, n^(1/d) on each."""
        if self.points is None:
            return self.shape
        n, d = self.points.shape
        return (max(1, round(n ** (1 / d))),) * d

    @property
    def n_channels(self) -> int:
        """Number of channels c."""
        return int(self.values.shape[-1])
