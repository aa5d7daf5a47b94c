"""Checks at public borders: one message form, "expected …, got …".

They accept numpy arrays and torch tensors alike without importing torch. The caller chooses the exception,
`error`: `ValueError` for an argument, `ConfigError` for an option, `InputError` for a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def check_shape(
    name: str, array: Any, shape: Sequence[int | str | None], *, error: type[Exception] = ValueError
) -> dict[str, int]:
    """Check the shape of an array against a pattern.

    Args:
        name: Name of the argument, put at the start of the message.
        array: Anything with a `shape`.
        shape: One entry per axis: an integer is that very size, a letter any size (the same letter means
            the same size), None any size at all.
        error: Class of the exception raised when the check fails.

    Returns:
        The size found for every letter.
    """
    got = tuple(int(n) for n in array.shape)
    sizes: dict[str, int] = {}
    matches = len(got) == len(shape)
    for expected, n in zip(shape, got, strict=False):
        if isinstance(expected, str):
            expected = sizes.setdefault(expected, n)
        matches = matches and (expected is None or expected == n)
    if not matches:
        inner = ", ".join("any" if entry is None else str(entry) for entry in shape)
        pattern = f"({inner},)" if len(shape) == 1 else f"({inner})"
        raise error(f"{name}: expected shape {pattern}, got {got}")
    return sizes


def check_same_shape(*, error: type[Exception] = ValueError, **arrays: Any) -> None:
    """Check that all named arrays have one shape.

    Args:
        error: Class of the exception raised when the check fails.
        **arrays: The arrays, by the names used in the message.
    """
    shapes = [tuple(int(n) for n in array.shape) for array in arrays.values()]
    if len(set(shapes)) > 1:
        got = " and ".join(str(shape) for shape in shapes)
        raise error(f"{' and '.join(arrays)}: expected equal shapes, got {got}")


def check_dtype(
    name: str, array: Any, dtypes: str | Sequence[str], *, error: type[Exception] = ValueError
) -> None:
    """Check the element type of an array.

    Args:
        name: Name of the argument, put at the start of the message.
        array: Anything with a `dtype`.
        dtypes: Accepted names, such as "float32" (torch's prefix "torch." is left out).
        error: Class of the exception raised when the check fails.
    """
    accepted = (dtypes,) if isinstance(dtypes, str) else tuple(dtypes)
    got = str(array.dtype).removeprefix("torch.")
    if got not in accepted:
        raise error(f"{name}: expected dtype {' or '.join(accepted)}, got {got}")


def count_nonfinite(array: Any) -> tuple[int, int]:
    """Count the unusable values of an array.

    Args:
        array: Numpy array or torch tensor.

    Returns:
        The number of NaN and the number of infinite values.
    """
    if hasattr(array, "isnan"):  # a torch tensor counts on its own device
        return int(array.isnan().sum()), int(array.isinf().sum())
    return int(np.count_nonzero(np.isnan(array))), int(np.count_nonzero(np.isinf(array)))


def describe_nonfinite(n_nan: int, n_infinite: int, size: int) -> str:
    """Say in words how many values are unusable.

    Args:
        n_nan: Number of NaN.
        n_infinite: Number of infinite values.
        size: Number of values altogether.

    Returns:
        For example "3 NaN and 1 infinite among 100 values".
    """
    parts = [f"{n_nan} NaN"] * (n_nan > 0) + [f"{n_infinite} infinite"] * (n_infinite > 0)
    return f"{' and '.join(parts) or 'none'} among {size} value{'' if size == 1 else 's'}"


def check_finite(name: str, array: Any, *, error: type[Exception] = ValueError) -> None:
    """Check that an array holds neither NaN nor infinity.

    Args:
        name: Name of the argument, put at the start of the message.
        array: Numpy array or torch tensor.
        error: Class of the exception raised when the check fails.
    """
    n_nan, n_infinite = count_nonfinite(array)
    if n_nan or n_infinite:
        size = int(np.prod(array.shape, dtype=np.int64))
        raise error(f"{name}: expected finite values, got {describe_nonfinite(n_nan, n_infinite, size)}")
