"""From a parameter budget to the width of any model of the catalog."""

import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.models.catalog import build, config_class
from lrnn_cli.models.contract import ModelConfig, count_parameters

TOLERANCE = 0.01  # relative distance from the budget that counts as met
_LARGEST_WIDTH = 2**20


def parameters_of(name: str, config: ModelConfig, n_inputs: int, n_outputs: int) -> int:
    """Return the number of parameters of a configuration, without allocating them."""
    with torch.device("meta"):
        return count_parameters(build(name, config, n_inputs=n_inputs, n_outputs=n_outputs))


def missed(name: str, n_params: int, budget: int) -> str | None:
    """Return a sentence where a number of parameters is not within `TOLERANCE` of the budget, else None."""
    if abs(n_params / budget - 1) <= TOLERANCE:
        return None
    return f"{name} reaches {n_params} parameters, the nearest to {budget}"


def fit_budget(
    name: str, options: dict[str, object], n_params: int, *, n_inputs: int, n_outputs: int
) -> tuple[ModelConfig, int]:
    """Choose the width for which a model has as near to n_params parameters as an integer width allows.

    Args:
        name: a row of the catalog.
        options: the other fields of its configuration.
        n_params: the budget.
        n_inputs: d, dimension of the coordinates.
        n_outputs: c, values per point.

    Returns:
        the configuration and its number of parameters, which may miss the budget by more than `TOLERANCE`
        where widths are small; the caller says so.

    Raises:
        ConfigError: when even width 1 needs more than twice the budget.
    """
    cls = config_class(name)

    def count(width: int) -> int:
        return parameters_of(name, cls(**{**options, cls.width_key: width}), n_inputs, n_outputs)

    low, high = 1, 2
    if count(1) > 2 * n_params:
        raise ConfigError(f"params {n_params}: {name} needs at least {count(1)} with these options")
    while count(high) < n_params and high < _LARGEST_WIDTH:
        low, high = high, 2 * high
    while high - low > 1:  # count(low) <= n_params < count(high) or low = 1
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= n_params else (low, middle)
    best = min((low, high), key=lambda width: abs(count(width) - n_params))
    return cls(**{**options, cls.width_key: best}), count(best)
