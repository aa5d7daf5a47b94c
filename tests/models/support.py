"""What the tests of models share: a model in float64, its weights as numpy arrays, points to try it on."""

import numpy as np
import torch

from lrnn_cli.models.catalog import build, config_class


def make(name, n_inputs=2, n_outputs=3, seed=1, **options):
    """A model of the catalog in float64."""
    config = config_class(name)(**options)
    return build(name, config, n_inputs=n_inputs, n_outputs=n_outputs, seed=seed).double()


def weights(model):
    """Parameters and stored constants by name, as numpy arrays."""
    return {name: values.detach().numpy().copy() for name, values in model.state_dict().items()}


def points(n, d, seed=2):
    """Points of [-1, 1]^d, float64."""
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (n, d)))


def layer(w, name, h):
    """W h + b with the weights of a linear layer."""
    return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]


def check(model, x, expected, tolerance=1e-12):
    """The output of a model against a numpy version, relative to the size of the output."""
    values = model(x).detach().numpy()
    assert values.shape == expected.shape
    np.testing.assert_allclose(values, expected, rtol=0, atol=tolerance * np.abs(expected).max())


def is_uniform(values, bound, tolerance=0.05):
    """Whether values look like U(-bound, bound): within it, to its ends, and of variance bound^2 / 3."""
    values = np.asarray(values)
    size = np.abs(values).max()
    return (
        (1 - tolerance) * bound < size <= bound * (1 + 1e-6)
        and abs(values.std() * np.sqrt(3) / bound - 1) < tolerance
        and abs(values.mean()) < tolerance * bound
    )
