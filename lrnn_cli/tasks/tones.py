"""The tones that an LRNN fitted to a sound has learned: first-layer frequencies and their combinations.

Factor j of neuron l has the argument omega w_lj (W_lj t + b_lj): with t over [-1, 1] for T seconds a tone of
omega |w W| / (π T) Hz. A product of D such factors holds every sum and difference of their frequencies
(Lemma 2 of Maharaj and Nair, ICLR 2026): up to (3^D - 1) / 2 of them where each factor may also be left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from lrnn_cli.fitting.checkpoint import Fitted
from lrnn_cli.models.lrnn import Lrnn, ProductLayer
from lrnn_cli.models.segments import Segments

SHOWN_NEURONS = 5
SHOWN_COMBINATIONS = 8
LARGEST_DBAR = 10  # combinations are listed up to here: (3^10 - 1) / 2 = 29524


def combination_tones(frequencies_hz: list[float], strengths: list[float]) -> list[tuple[float, float]]:
    """Return the sums and differences of frequencies in a product of factors 1 + s cos, the strongest first.

    The term that takes the factors of a set S has |S| - 1 signs free: tones |±f_1 ± f_2 …| of strength
    Π_{j in S} s_j / 2^(|S| - 1).

    Args:
        frequencies_hz: of the factors, (D,).
        strengths: of the factors, (D,).

    Returns:
        Pairs of Hz and strength, for all sets of at least two factors.
    """
    found = []
    for signs in itertools.product((-1, 0, 1), repeat=len(frequencies_hz)):
        taken = [k for k, sign in enumerate(signs) if sign]
        if len(taken) < 2 or signs[taken[0]] < 0:  # the mirror image is the same tone
            continue
        tone = abs(sum(sign * f for sign, f in zip(signs, frequencies_hz, strict=True)))
        strength = math.prod(strengths[k] for k in taken) / 2 ** (len(taken) - 1)
        found.append((tone, strength))
    return sorted(found, key=lambda pair: -pair[1])


def learned_tones(fitted: Fitted) -> list[dict[str, Any]]:
    """Describe the neurons of the first layer that matter most to the next layer.

    Args:
        fitted: the fit of a sound.

    Returns:
        A record per neuron: segment, neuron, weight, tones_hz and combinations_hz; none for other models.
    """
    if fitted.kind != "audio" or len(fitted.shape) != 1:
        return []
    rate_hz = float(fitted.signal["sample_rate"])
    rows = [row for member in _members(fitted) for row in _neurons(*member, rate_hz)]
    return sorted(rows, key=lambda row: -row["weight"])[:SHOWN_NEURONS]


def _members(fitted: Fitted) -> Iterator[tuple[int, Lrnn, int]]:
    """Yield number, network and samples of each segment."""
    model = fitted.model
    if isinstance(model, Lrnn):
        yield 1, model, fitted.shape[0]
    elif isinstance(model, Segments):
        for k, (member, (start, stop)) in enumerate(zip(model.members, model.spans, strict=True), 1):
            if isinstance(member, Lrnn):
                yield k, member, stop - start


def _neurons(segment: int, model: Lrnn, n_samples: int, rate_hz: float) -> list[dict[str, Any]]:
    layer = cast(ProductLayer, model.layers[0])
    with torch.no_grad():
        factor = (layer.frequency[0].expand(layer.bias.shape) * layer.weight[..., 0]).abs()
        hertz = layer.omega * factor / (math.pi * n_samples / rate_hz)
        strength = layer.relevance()
        weight = outgoing_weight(model, layer)
    best = torch.topk(weight, min(SHOWN_NEURONS, len(weight))).indices.tolist()
    return [
        {
            "segment": segment,
            "neuron": neuron + 1,
            "weight": float(weight[neuron]),
            "tones_hz": _ordered(hertz[:, neuron], strength[:, neuron]),
            "combinations_hz": _combinations(hertz[:, neuron], strength[:, neuron]),
        }
        for neuron in best
    ]


def outgoing_weight(model: Lrnn, layer: ProductLayer) -> Tensor:
    """Return the norm of the weights behind each first-layer neuron, times its LayerNorm scale, (R,)."""
    behind = cast(ProductLayer, model.layers[1]) if len(model.layers) > 1 else model.head
    norm = behind.weight.flatten(0, -2).norm(dim=0)
    return norm * layer.norm.weight.abs() if isinstance(layer.norm, nn.LayerNorm) else norm


def _ordered(hertz: Tensor, strength: Tensor) -> list[float]:
    return [float(hertz[k]) for k in strength.argsort(descending=True).tolist()]


def _combinations(hertz: Tensor, strength: Tensor) -> list[float]:
    if len(hertz) > LARGEST_DBAR:
        return []
    return [tone for tone, _ in combination_tones(hertz.tolist(), strength.tolist())[:SHOWN_COMBINATIONS]]
