"""What every reader returns: values on a grid, and enough about the file to write the like again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lrnn_cli.numerics.checks import check_dtype


@dataclass(frozen=True, eq=False)
class Signal:
    """A sampled signal, its origin and its format.

    Attributes:
        values: The samples, float32 (n_1, …, n_d, c): d axes (row, column for images; time for sound), then
            the channels.
        kind: What it is, such as "image" or "audio".
        peak: Largest possible value, the peak of PSNR and SSIM: 1 for integer images.
        name: Stem of the file name, "stdin" for standard input; names the run folder.
        path: Path as given, "-" for standard input.
        sha256: Hexadecimal digest of the bytes of the file.
        notes: Sentences for the user about everything that is not as it is in the file.
        format: What the writer of this kind needs to write the values back, JSON-able.
    """

    values: np.ndarray
    kind: str
    peak: float
    name: str
    path: str
    sha256: str
    notes: tuple[str, ...] = ()
    format: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the values, once for all readers.

        Raises:
            ValueError: If they are not float32 with at least one axis, channels and one value, or the peak is
                not positive.
        """
        check_dtype("values", self.values, "float32")
        if self.values.ndim < 2 or self.values.size == 0:
            raise ValueError(
                f"values: expected shape (n_1, …, n_d, c) without zeros, got {self.values.shape}"
            )
        if not 0 < self.peak < float("inf"):
            raise ValueError(f"peak: expected a positive finite number, got {self.peak}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Samples per axis, (n_1, …, n_d), without the channels."""
        return self.values.shape[:-1]

    @property
    def n_channels(self) -> int:
        """Number of channels c."""
        return int(self.values.shape[-1])
