"""What a network has learned in its first layer, as curves: component functions, or features along a line."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from lrnn_cli.kernels.families import FAMILIES
from lrnn_cli.models.contract import CoordinateModel
from lrnn_cli.models.lrnn import Lrnn, ProductLayer
from lrnn_cli.tasks.tones import outgoing_weight

SHOWN = 6
SAMPLES = 400


def learned_curves(model: CoordinateModel, n_inputs: int) -> tuple[np.ndarray, list[str], str]:
    """Return the curves of a network that matter most.

    Of an LRNN these are first-layer components g_lj over t in [-1, 1], where z = b + t Σ|W| runs through all
    values that it takes on [-1, 1]^d, chosen by the relevance of the factor times the norm of the weights
    behind its neuron. Of other models they are features φ_k along the first axis through the centre, less
    their mean, chosen by what the output layer makes of them.

    Args:
        model: the network, on the CPU.
        n_inputs: d.

    Returns:
        Curves (k, n) over n equal steps from -1 to 1, their names, and what they are.
    """
    with torch.no_grad():
        if isinstance(model, Lrnn):
            return _components(model)
        dtype = next(model.parameters()).dtype
        line = torch.zeros(SAMPLES, n_inputs, dtype=model.coords_dtype or dtype)
        line[:, 0] = torch.linspace(-1, 1, SAMPLES, dtype=line.dtype)
        features = model.features(line)
        features = features - features.mean(0)
        strength = features.std(0) * model.head.weight.norm(dim=0)
        best = torch.topk(strength, min(SHOWN, len(strength))).indices
        names = [f"φ {int(k) + 1}" for k in best]
        return features[:, best].T.double().numpy(), names, "features along the first axis, less their mean"


def _components(model: Lrnn) -> tuple[np.ndarray, list[str], str]:
    layer = cast(ProductLayer, model.layers[0])
    dbar, rank = layer.bias.shape
    strength = (layer.relevance() * outgoing_weight(model, layer)).reshape(-1)
    best = torch.topk(strength, min(SHOWN, len(strength))).indices
    z = layer.bias.reshape(-1)[best] + (
        torch.linspace(-1, 1, SAMPLES, dtype=layer.bias.dtype)[:, None]
        * layer.weight.abs().sum(2).reshape(-1)[best]
    )  # (n, k)
    shape = (layer.amplitude.shape[0], dbar, rank)
    a, w, c = (
        part.expand(shape).flatten(1)[:, None, best]
        for part in (layer.amplitude, layer.frequency, layer.phase)
    )
    sigma = FAMILIES[layer.family].value(layer.omega * w * z + c)  # (M, n, k)
    g = (a * (sigma - layer.centre)).sum(0)
    names = [f"g {int(k) % rank + 1},{int(k) // rank + 1}" for k in best]
    return g.T.double().numpy(), names, "components g of the first layer (neuron, factor)"
