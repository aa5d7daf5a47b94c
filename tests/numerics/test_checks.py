"""The checks at public borders: what passes, and the exact text when something does not."""

import numpy as np
import pytest
import torch

from lrnn_cli.errors import ConfigError, InputError
from lrnn_cli.numerics import checks


@pytest.mark.parametrize("make", [np.zeros, torch.zeros], ids=["numpy", "torch"])
def test_shape_pattern_gives_the_sizes_of_its_letters(make):
    assert checks.check_shape("coords", make((5, 2)), ("n", 2)) == {"n": 5}
    assert checks.check_shape("x", make((4, 4, 3)), ("n", "n", None)) == {"n": 4}


@pytest.mark.parametrize(
    ("shape", "pattern", "text"),
    [
        ((5, 3), ("n", 2), r"^coords: expected shape \(n, 2\), got \(5, 3\)$"),
        ((5,), ("n", 2), r"^coords: expected shape \(n, 2\), got \(5,\)$"),
        ((5, 4), ("n", "n"), r"^coords: expected shape \(n, n\), got \(5, 4\)$"),
        ((5, 4), (None,), r"^coords: expected shape \(any,\), got \(5, 4\)$"),
    ],
)
def test_wrong_shape_says_both(shape, pattern, text):
    with pytest.raises(ValueError, match=text):
        checks.check_shape("coords", np.zeros(shape), pattern)


def test_equal_shapes():
    checks.check_same_shape(prediction=np.zeros((2, 3)), target=torch.zeros((2, 3)))
    with pytest.raises(
        ConfigError, match=r"^prediction and target: expected equal shapes, got \(2, 3\) and \(3, 2\)$"
    ):
        checks.check_same_shape(prediction=np.zeros((2, 3)), target=np.zeros((3, 2)), error=ConfigError)


def test_dtype():
    checks.check_dtype("x", torch.zeros(1, dtype=torch.float64), ("float32", "float64"))
    checks.check_dtype("x", np.zeros(1, dtype=np.uint8), "uint8")
    with pytest.raises(ValueError, match=r"^x: expected dtype float32 or float64, got int64$"):
        checks.check_dtype("x", torch.zeros(1, dtype=torch.int64), ("float32", "float64"))


@pytest.mark.parametrize("make", [np.asarray, torch.tensor], ids=["numpy", "torch"])
@pytest.mark.parametrize(
    ("values", "text"),
    [
        (
            [np.nan, np.inf, -np.inf, 0.0],
            "^values: expected finite values, got 1 NaN and 2 infinite among 4 values$",
        ),
        ([np.nan, 1.0], "^values: expected finite values, got 1 NaN among 2 values$"),
        ([np.inf], "^values: expected finite values, got 1 infinite among 1 value$"),
    ],
)
def test_nonfinite_values_are_counted(make, values, text):
    with pytest.raises(InputError, match=text):
        checks.check_finite("values", make(values), error=InputError)


def test_finite_values_pass():
    checks.check_finite("values", np.array([[0.0, -1e300]]))
    checks.check_finite("values", np.arange(3))
    checks.check_finite("values", torch.zeros(3))
    assert checks.describe_nonfinite(0, 0, 2) == "none among 2 values"
