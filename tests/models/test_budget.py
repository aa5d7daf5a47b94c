"""From a number of parameters to a width: as near as an integer width allows, for every model."""

import pytest
import torch

from lrnn_cli.errors import ConfigError
from lrnn_cli.models import catalog
from lrnn_cli.models.budget import TOLERANCE, fit_budget, parameters_of
from lrnn_cli.models.contract import count_parameters, weight_bits
from tests.cases import CASES, case_id, make

BUDGETS = [20_000, 200_000, 2_000_000]


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_counting_without_building(case):
    name, options = case
    config = catalog.config_class(name)(**options)
    for d, c in [(1, 1), (2, 3), (3, 2)]:
        assert parameters_of(name, config, d, c) == count_parameters(make(case, d, c))


@pytest.mark.parametrize("name", catalog.CATALOG)
@pytest.mark.parametrize("n_inputs, n_outputs", [(1, 1), (2, 1), (2, 3)])
def test_the_nearest_width(name, n_inputs, n_outputs):
    sizes = {"n_inputs": n_inputs, "n_outputs": n_outputs}
    for budget in BUDGETS:
        config, n_params = fit_budget(name, {}, budget, **sizes)
        key = type(config).width_key
        width = getattr(config, key)

        def count(width, config=config, key=key):
            return parameters_of(name, config.model_copy(update={key: width}), n_inputs, n_outputs)

        assert n_params == count(width)
        assert width > 1
        neighbours = count(width - 1), count(width + 1)
        assert neighbours[0] < n_params < neighbours[1]
        assert abs(n_params - budget) <= min(abs(n - budget) for n in neighbours)
        if budget >= 200_000:  # below, one more neuron can be more than 2 % more parameters
            assert abs(n_params / budget - 1) <= TOLERANCE, f"{name} width {width}: {n_params} for {budget}"


def test_options_are_kept():
    options = {"dbar": 16, "depth": 2, "sigma": "sin"}
    config, n_params = fit_budget("lrnn", options, 200_000, n_inputs=2, n_outputs=1)
    assert {key: getattr(config, key) for key in options} == options
    assert config.rank == 107
    assert n_params == 200_840


def test_the_published_setting():
    published = catalog.row("lrnn").published["model"]
    config = catalog.config_class("lrnn")(**published)
    assert (config.rank, config.dbar, config.depth) == (106, 16, 2)
    assert parameters_of("lrnn", config, 2, 1) == 197_267


def test_wide_steps_give_the_nearest():
    config, n_params = fit_budget("lrnn", {"dbar": 256, "depth": 3}, 20_000, n_inputs=2, n_outputs=1)
    assert abs(n_params / 20_000 - 1) > TOLERANCE  # the caller says so
    others = [parameters_of("lrnn", config.model_copy(update={"rank": rank}), 2, 1) for rank in range(1, 10)]
    assert n_params == min(others, key=lambda n: abs(n - 20_000))


def test_too_small_a_budget():
    options = {"dbar": 64, "depth": 2}
    least = parameters_of("lrnn", catalog.config_class("lrnn")(rank=1, **options), 2, 1)
    with pytest.raises(ConfigError) as caught:
        fit_budget("lrnn", options, least // 2 - 1, n_inputs=2, n_outputs=1)
    assert str(caught.value) == f"params {least // 2 - 1}: lrnn needs at least {least} with these options"
    assert fit_budget("lrnn", options, least // 2 + 1, n_inputs=2, n_outputs=1)[0].rank == 1


def test_an_unknown_model():
    with pytest.raises(ConfigError, match="model: unknown 'lrn'; did you mean 'lrnn'"):
        fit_budget("lrn", {}, 1000, n_inputs=2, n_outputs=1)


def test_bits_are_those_of_the_precision_of_the_weights():
    model = torch.nn.Linear(3, 2)
    assert weight_bits(model) == 32 * 8 and weight_bits(model.double()) == 64 * 8
