"""What a sound decides about its fit: the first frequencies of the network, and how many networks.

Time t runs over [-1, 1], so that a tone of f Hz in a sound of T seconds has the angular frequency π f T. The
first layer of a network of sines has W ~ U(-1, 1) and z = omega W t: frequencies spread evenly from 0 to
omega. docs/audio.md gives the measurements behind the rules.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from lrnn_cli.errors import ConfigError
from lrnn_cli.fitting.device import resolve_device
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.numerics.audio_metrics import centroid, occupied_part, power_spectrum
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.regression import ModelChoice, Plan, make_plan
from lrnn_cli.tasks.segments import cut
from lrnn_cli.tasks.tuned import Tuned, settle, tuned_for

LOWEST = 30.0  # angular frequency for silence, constants and the shortest clips
PRODUCT_MODELS = ("lrnn",)  # products of factors make sums and differences of their frequencies
LARGEST = 1e5  # rad per half span, of all others: what LRNN's option allows; minutes of sound ask for more
# rad per half span (benchmarks/results/audio.json): of eight trials on each of four clips the best of SIREN
# and SPDER had 3100 to 6500, but for one with 13,000; LRNN with 33,000 had to start afresh
HIGHEST = {"lrnn": 16000.0, "siren": 4000.0, "spder": 4000.0}
LSTSQ = ("end",)  # the start of the output layer is good as drawn, and a pass over a long sound is dear
BATCH = 2048  # points per step: on the CPU many small steps go further than few large ones ...
SMALL_BATCH = 1024  # ... of product networks still smaller ones (benchmarks/results/search_audio.json)
FADE_S = 0.02
SHORTEST_SEGMENT_S = 0.1  # of those that are not asked for by number
LARGEST_SEGMENT = 2**20  # samples: float32 times are then exact to 1/64 of their distance


@dataclass(frozen=True)
class Spectrum:
    """Where the energy of a sound lies, in Hz."""

    centroid_hz: float
    occupied: float  # part of all frequencies that holds 99 % of the energy

    @classmethod
    def of(cls, signal: Signal) -> Spectrum:
        """Read it off a sound."""
        frequencies, power = power_spectrum(signal.values, float(signal.format["sample_rate"]))
        return cls(centroid(frequencies, power), occupied_part(power, 0.99))


def base_frequency(spectrum: Spectrum, duration_s: float, model: str) -> float:
    """Return the first layer's omega in radians per half span.

    It is π T times the spectral centroid for networks of products, which make higher tones as sums, and
    twice that for others, from `LOWEST` to the model's `HIGHEST`, else `LARGEST`.

    Args:
        spectrum: of the sound.
        duration_s: T, the time that one network spans.
        model: its name in the catalog.
    """
    wanted = _wanted_frequency(spectrum, duration_s, model)
    return min(max(LOWEST, wanted), HIGHEST.get(model, LARGEST))


def _wanted_frequency(spectrum: Spectrum, duration_s: float, model: str) -> float:
    return math.pi * spectrum.centroid_hz * (1 if model in PRODUCT_MODELS else 2) * duration_s


def slowed(tuned: Tuned, spectrum: Spectrum, duration_s: float, model: str) -> Tuned:
    """Return what sounds want of a model for one that oscillates more than its frequencies follow.

    Where a network of products would want a higher first frequency than `HIGHEST`, its learning rate falls in
    the same ratio: with 5e-4 nothing was learned of the 12 s of `counting`, with half of it at once
    (docs/audio.md).
    """
    wanted = _wanted_frequency(spectrum, duration_s, model)
    if tuned.lr is None or model not in PRODUCT_MODELS or wanted <= HIGHEST[model]:
        return tuned
    return replace(tuned, lr=float(f"{tuned.lr * HIGHEST[model] / wanted:.3g}"))


def frequencies(spectrum: Spectrum, duration_s: float, model: str) -> dict[str, float]:
    """Return what the spectrum suggests: `omega_first`, or for `fourier` the `scale`, in periods per unit.

    Args:
        spectrum: of the sound.
        duration_s: T, the time that one network spans.
        model: its name in the catalog.
    """
    omega = base_frequency(spectrum, duration_s, model)
    return {"scale": omega / (2 * math.pi)} if model == "fourier" else {"omega_first": omega}


def segment_count(signal: Signal, spectrum: Spectrum, n_params: int) -> int:
    """Return how many networks of a size a sound wants.

    A sound of n samples in c channels that occupies a part p of its frequencies has p n c degrees of
    freedom; one network follows as many as it has parameters, and spans at least `SHORTEST_SEGMENT_S`. Nor
    shall it span more samples than float32 tells apart well.

    Args:
        signal: the sound.
        spectrum: what part of the frequencies is occupied.
        n_params: parameters of one network.
    """
    n, rate_hz = signal.shape[0], float(signal.format["sample_rate"])
    freedom = spectrum.occupied * signal.values.size
    wanted = min(math.ceil(freedom / n_params), int(n / rate_hz / SHORTEST_SEGMENT_S))
    least = 1 if n <= LARGEST_SEGMENT else math.ceil(n / (LARGEST_SEGMENT - round(FADE_S * rate_hz)))
    return max(1, wanted, least)


def plan_sound(
    signal: Signal,
    choice: ModelChoice,
    fit: FitSettings,
    segments: int | Literal["auto"] = "auto",
    tuned: Tuned | None = None,
) -> Plan:
    """Return the plan of a fit: frequencies from the spectrum, segments where they are needed.

    Args:
        signal: the sound.
        choice: the model; with a parameter budget each segment has it.
        fit: training.
        segments: how many, or auto.
        tuned: in place of what sounds want of the model.

    Raises:
        ConfigError: when there are more segments than the sound has samples, or the fit steps, for.
    """
    tuned = tuned or tuned_for("audio", choice.name)
    if fit.lstsq is None:
        fit = fit.model_copy(update={"lstsq": LSTSQ})
    if fit.batch_points == "auto":
        small = choice.name in PRODUCT_MODELS and resolve_device(fit.device).type == "cpu"
        fit = fit.model_copy(update={"batch_points": SMALL_BATCH if small else BATCH})
    rate_hz, spectrum = float(signal.format["sample_rate"]), Spectrum.of(signal)

    def plan_part(part: Signal) -> Plan:
        duration_s = part.shape[0] / rate_hz
        suggested = frequencies(spectrum, duration_s, choice.name)
        wishes = slowed(tuned, spectrum, duration_s, choice.name)
        return make_plan(part, *settle(part, choice, fit, wishes, suggested))

    n = signal.shape[0]
    one = n if segments == 1 else min(n, LARGEST_SEGMENT)  # of which one network can be asked at most
    plan = plan_part(replace(signal, values=signal.values[:one]))
    count = (
        min(segment_count(signal, spectrum, plan.n_params), fit.steps or n)
        if segments == "auto"
        else segments
    )
    if count == 1:
        plan = plan if one == n else plan_part(signal)
        return replace(plan, notes=(*plan.notes, *_note_on_times(n, fit)))
    try:
        spans = cut(n, count, round(FADE_S * rate_hz))
    except ValueError as error:
        raise ConfigError(f"segments {count}: {error}") from None
    if fit.steps is not None and fit.steps < count:
        raise ConfigError(f"steps {fit.steps}: {count} segments want at least one each; use fewer --segments")
    longest = max(stop - start for start, stop in spans)
    plan = plan_part(replace(signal, values=signal.values[:longest]))
    fade_ms = 1000 * (spans[0][1] - spans[1][0]) / rate_hz
    note = f"{count} segments of {longest / rate_hz:.3g} s, a network of {plan.n_params} parameters each, "
    note += f"cross-faded over {fade_ms:.3g} ms"
    return replace(
        plan,
        n_params=count * plan.n_params,
        n_points=n,
        notes=(*plan.notes, note, *_note_on_times(longest, fit)),
        segments=spans,
    )


def _note_on_times(n_samples: int, fit: FitSettings) -> tuple[str, ...]:
    """Say when a single network spans more samples than its float32 times separate well."""
    if n_samples <= LARGEST_SEGMENT or fit.precision == "float64":
        return ()
    part = n_samples / 2**26
    return (
        f"times of {n_samples} samples in float32 are off by up to {part:.2g} samples; use --segments auto",
    )
