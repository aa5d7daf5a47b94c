"""What every model of the catalog obeys, through `tests.cases`."""

import math

import pytest
import torch
from pydantic import ValidationError

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models import catalog
from lrnn_cli.models.contract import CoordinateModel, count_parameters
from tests.cases import CASES, case_id, make, points

EVERY = pytest.mark.parametrize("case", CASES, ids=case_id)
SIZES = [(d, c) for d in (1, 2, 3) for c in (1, 2, 3)]


def test_no_model_of_the_catalog_is_forgotten():
    assert {name for name, _ in CASES} == set(catalog.CATALOG), "give each model a row in tests/cases.py"


@EVERY
def test_values_are_finite_for_all_dimensions(case):
    for d, c in SIZES:
        values = make(case, d, c)(points(7, d))
        assert values.shape == (7, c)
        assert values.dtype == torch.float32
        assert values.isfinite().all()
        assert make(case, d, c)(points(0, d)).shape == (0, c)


@EVERY
def test_values_depend_on_the_place(case):
    values = make(case)(points(200, 2))
    assert (values.std(0) > 1e-4).all()


@EVERY
def test_points_do_not_see_each_other(case):
    model, x = make(case, dtype=torch.float64), points(9, 2, torch.float64)
    with torch.no_grad():
        together = model(x)
        alone = torch.cat([model(x[k : k + 1]) for k in range(9)])
        backwards = model(x.flip(0)).flip(0)
    torch.testing.assert_close(together, alone, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(together, backwards, rtol=1e-11, atol=1e-11)


@EVERY
def test_the_last_step_is_the_linear_head(case):
    model, x = make(case), points(9, 2)
    features = model.features(x)
    assert features.shape == (9, model.head.in_features)
    torch.testing.assert_close(model(x), features @ model.head.weight.T + model.head.bias)


@EVERY
def test_weights_depend_on_the_seed_alone(case):
    torch.manual_seed(1)
    state = torch.get_rng_state()
    first = make(case, seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(2)
    second, other = make(case, seed=5).state_dict(), make(case, seed=6)
    assert all(torch.equal(t, second[name]) for name, t in first.state_dict().items())
    x = points(5, 2)
    assert not torch.equal(first(x), other(x))


@EVERY
def test_without_a_seed_the_global_generator_decides(case):
    torch.manual_seed(1)
    first, second = (make(case, seed=None)(points(5, 2)) for _ in range(2))
    torch.manual_seed(1)
    assert torch.equal(make(case, seed=None)(points(5, 2)), first)
    assert not torch.equal(first, second)


@EVERY
def test_the_state_is_all_there_is(case):
    model, other, x = make(case, seed=1), make(case, seed=2), points(5, 2)
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))


@EVERY
def test_double_precision(case):
    single, double = make(case), make(case, dtype=torch.float64)
    x = points(50, 2, torch.float64)
    with torch.no_grad():
        exact, rounded = double(x), single(x.float())
    assert exact.dtype == torch.float64
    torch.testing.assert_close(rounded.double(), exact, rtol=1e-3, atol=1e-3 * float(exact.abs().max()))


@EVERY
def test_parameters_lie_in_order_in_memory(case):
    # torch's fused Adam walks through memory: with strides that differ from the gradient's it mixes elements
    assert all(p.is_contiguous() for p in make(case).parameters())


@EVERY
def test_every_parameter_gets_a_gradient(case):
    model, x = make(case), points(100, 2)
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert (parameter.grad != 0).any(), name


@EVERY
def test_the_gradient_is_the_slope(case):
    model, x = make(case, dtype=torch.float64), points(20, 2, torch.float64)
    parameters = list(model.parameters())
    directions = [
        torch.randn(p.shape, generator=torch.Generator().manual_seed(k), dtype=p.dtype)
        for k, p in enumerate(parameters)
    ]
    gradients = torch.autograd.grad(model(x).square().sum(), parameters)
    slope = sum(float((g * v).sum()) for g, v in zip(gradients, directions, strict=True))
    step, values = 1e-7, []
    with torch.no_grad():
        for sign in (1, -1):
            for p, v in zip(parameters, directions, strict=True):
                p += sign * step * v
            values.append(float(model(x).square().sum()))
            for p, v in zip(parameters, directions, strict=True):
                p -= sign * step * v
    assert math.isclose((values[0] - values[1]) / (2 * step), slope, rel_tol=1e-4)


@EVERY
def test_the_number_of_parameters(case):
    model = make(case)
    assert count_parameters(model) == sum(p.numel() for p in model.parameters())
    assert isinstance(model, CoordinateModel)


@EVERY
def test_rate_factors_are_positive(case):
    model = make(case)
    assert all(0 < model.rate_factor(name) < 100 for name, _ in model.named_parameters())


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_an_unknown_option_is_an_error(name):
    cls = catalog.config_class(name)
    with pytest.raises(ValidationError, match="extra_forbidden"):
        cls(**{"no_such_option": 1})
    with pytest.raises(ValidationError):
        cls(**{cls.width_key: 0})
    with pytest.raises(ValidationError, match="frozen"):
        setattr(cls(), cls.width_key, 3)


@pytest.mark.parametrize("name", catalog.CATALOG)
def test_a_row_of_the_catalog(name):
    entry = catalog.row(name)
    assert entry.summary
    assert entry.citation
    cls = catalog.config_class(name)
    assert cls.model_fields[cls.width_key].annotation is int
    assert all(field.description for field in cls.model_fields.values())
    assert cls.default_lr > 0
    filled = cls().for_signal((64, 48))
    assert cls(**filled.model_dump()) == filled
    if entry.published is not None:
        assert set(entry.published) == {"model", "fit"}
        cls(**entry.published["model"])
        FitSettings(**entry.published["fit"])


def test_an_unknown_model():
    with pytest.raises(ConfigError) as caught:
        catalog.row("sirne")
    assert str(caught.value) == (
        f"model: unknown 'sirne'; did you mean 'siren'? known: {', '.join(catalog.CATALOG)}"
    )
    with pytest.raises(ConfigError, match=r"^model: unknown 'qqq'; known: lrnn, siren"):
        catalog.config_class("qqq")


def test_options_are_told_by_their_nearest_name_and_range():
    assert catalog.configure("lrnn", {"rank": 3}).model_dump()["rank"] == 3
    with pytest.raises(
        ConfigError, match="model lrnn: unknown option 'rnak'; did you mean 'rank'\\? known: rank"
    ):
        catalog.configure("lrnn", {"rnak": 3})
    with pytest.raises(ConfigError, match="model siren: depth: Input should be greater than or equal to"):
        catalog.configure("siren", {"depth": -1})
