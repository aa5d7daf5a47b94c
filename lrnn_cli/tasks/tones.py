"""The tones that an LRNN fitted to a sound has learned: first-layer frequencies and their combinations.

Term m of factor j of neuron l has the argument omega w_mlj (W_lj t + b_lj): with t over [-1, 1] for T
seconds a tone of omega |w W| / (π T) Hz. A product of D such factors holds every sum and difference of their
frequencies (Lemma 2 of Maharaj and Nair, ICLR 2026): up to (3^D - 1) / 2 of them for one term each, where
each factor may also be left out. Components that are not made of sines have no tones.
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
LARGEST_SETS = 3**10  # of terms and signs: of more, those of the strongest factors
PERIODIC = ("sin", "spder", "spder-sqrt", "fourier")  # spder: a sine under a slow envelope
Tone = tuple[float, float]
"""Hz and strength."""


def combination_tones(factors: list[list[Tone]]) -> list[Tone]:
    """Return sums and differences of the frequencies in a product of factors 1 + Σ s cos, strongest first.

    The term that takes one tone of each factor in a set S has |S| - 1 signs free: tones |±f_1 ± f_2 …| of
    strength Π_{j in S} s_j / 2^(|S| - 1).

    Args:
        factors: of each the frequencies in Hz with their strengths.

    Returns:
        Pairs of Hz and strength, for all sets of at least two factors.
    """
    found = []
    for taken in itertools.product(*([None, *tones] for tones in factors)):
        chosen = [tone for tone in taken if tone is not None]
        if len(chosen) < 2:
            continue
        strength = math.prod(s for _, s in chosen) / 2 ** (len(chosen) - 1)
        for signs in itertools.product((1, -1), repeat=len(chosen) - 1):  # the mirror image is the same tone
            tone = abs(sum(sign * f for sign, (f, _) in zip((1, *signs), chosen, strict=True)))
            found.append((tone, strength))
    return sorted(found, key=lambda pair: -pair[1])


def learned_tones(fitted: Fitted) -> list[dict[str, Any]]:
    """Describe the neurons of the first layer that matter most to the next layer.

    Args:
        fitted: the fit of a sound.

    Returns:
        A record per neuron: segment, neuron, weight, tones_hz and combinations_hz; none for other models.
        Weights in a segment count by the size of its output layer, in parts of the loudest segment's.
    """
    if fitted.kind != "audio" or len(fitted.shape) != 1:
        return []
    rate_hz = float(fitted.signal["sample_rate"])
    members = list(_members(fitted))
    # of a single layer the weights behind the neurons are the output layer's already
    loudness = [float(m.head.weight.detach().norm()) if len(m.layers) > 1 else 1.0 for _, m, _ in members]
    rows = [
        {**row, "weight": row["weight"] * size / max(*loudness, 1e-300)}  # quiet segments count less
        for member, size in zip(members, loudness, strict=True)
        for row in _neurons(*member, rate_hz)
    ]
    return sorted(rows, key=lambda row: -row["weight"])[:SHOWN_NEURONS]


def _members(fitted: Fitted) -> Iterator[tuple[int, Lrnn, int]]:
    """Yield number, network and samples of each segment."""
    model = fitted.model
    if fitted.config.model_dump().get("sigma") not in PERIODIC:
        return
    if isinstance(model, Lrnn):
        yield 1, model, fitted.shape[0]
    elif isinstance(model, Segments):
        for k, (member, (start, stop)) in enumerate(zip(model.members, model.spans, strict=True), 1):
            if isinstance(member, Lrnn):
                yield k, member, stop - start


def _neurons(segment: int, model: Lrnn, n_samples: int, rate_hz: float) -> list[dict[str, Any]]:
    layer = cast(ProductLayer, model.layers[0])
    with torch.no_grad():
        shape = (len(layer.amplitude), *layer.bias.shape)
        factor = (layer.frequency.expand(shape) * layer.weight[..., 0]).abs()
        hertz = layer.omega * factor / (math.pi * n_samples / rate_hz)
        strength = layer.gamma * layer.amplitude.abs().expand(shape)
        weight = outgoing_weight(model, layer)
    best = torch.topk(weight, min(SHOWN_NEURONS, len(weight))).indices.tolist()
    return [
        {
            "segment": segment,
            "neuron": neuron + 1,
            "weight": float(weight[neuron]),
            **_tones(hertz[:, :, neuron], strength[:, :, neuron]),
        }
        for neuron in best
    ]


def outgoing_weight(model: Lrnn, layer: ProductLayer) -> Tensor:
    """Return the norm of the weights behind each first-layer neuron, times its LayerNorm scale, (R,)."""
    behind = cast(ProductLayer, model.layers[1]) if len(model.layers) > 1 else model.head
    norm = behind.weight.flatten(0, -2).norm(dim=0)
    return norm * layer.norm.weight.abs() if isinstance(layer.norm, nn.LayerNorm) else norm


def _tones(hertz: Tensor, strength: Tensor) -> dict[str, list[float]]:
    """Return the tones of a neuron's M terms in D factors, (M, D) each, and their combinations."""
    pairs = zip(hertz.T.tolist(), strength.T.tolist(), strict=True)
    factors = [list(zip(*pair, strict=True)) for pair in pairs]
    factors.sort(key=lambda tones: -sum(s for _, s in tones))
    alone = sorted((tone for tones in factors for tone in tones), key=lambda tone: -tone[1])
    few = max(2, int(math.log(LARGEST_SETS) / math.log(1 + 2 * len(hertz)) + 1e-9))
    together = combination_tones(factors[:few])
    return {
        "tones_hz": [tone for tone, _ in alone],
        "combinations_hz": [tone for tone, _ in together[:SHOWN_COMBINATIONS]],
    }
