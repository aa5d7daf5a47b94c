"""What a kind of signal wants of a model other than the model's own defaults: rate, frequencies, scales.

Found by one search with the same trials for every model (`benchmarks/tune_models.py`, docs/models.md), except
for pictures all of `lrnn` and the rates of `finer` and `mfn`, and for sounds all of `lrnn`
and `siren`, which were compared on the sample data themselves; laid below what the user gives. CT, functions
and equations take nothing from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from lrnn_cli.fitting.device import resolve_device
from lrnn_cli.fitting.least_squares import RIDGE
from lrnn_cli.fitting.optimizers import DEFAULT
from lrnn_cli.fitting.settings import FitSettings
from lrnn_cli.models.catalog import config_class
from lrnn_cli.signals.signal import Signal
from lrnn_cli.tasks.regression import ModelChoice


@dataclass(frozen=True)
class Tuned:
    """Settings for one model.

    Attributes:
        lr: peak learning rate with this optimiser; None for the model's own.
        optimizer: on the CPU; on a GPU, where steps are recorded, it is adam.
        adam_lr: peak learning rate with adam where the optimizer is another; None for the model's own.
        frequency: factor on the first frequency or scale that the signal suggests.
        options: further options of the model.
        full_size: samples on the longest axis for which its `omega_first` holds; fewer want less, as the root
            of their number, down to `LEAST_OMEGA`; None where it holds for all sizes.
        width: its width where neither that nor a budget of parameters is given.
        fit: further settings of training, which the presets `fast` and `best` bring along.
        start_ridge: of the output layer solved before step 1, in parts of the features' mean square. Large
            weights that cancel each other would be spoiled by large first steps, which move all features;
            where steps are small, as for functions, they are worth more.
    """

    lr: float | None = None
    optimizer: str = "adam"
    adam_lr: float | None = None
    frequency: float = 1.0
    options: Mapping[str, float | str] = field(default_factory=dict)
    full_size: int | None = None
    width: int | None = None
    fit: Mapping[str, str] = field(default_factory=dict)
    start_ridge: float = RIDGE

    def options_for(self, model: str, params: int | None) -> dict[str, float | str]:
        """Return the options of a model, with the width unless a budget decides it."""
        if self.width is None or params is not None:
            return dict(self.options)
        return {**self.options, config_class(model).width_key: self.width}

    def by_size(self, resolution: tuple[int, ...]) -> dict[str, float]:
        """Return the first frequency for a signal of this resolution where it depends on the size."""
        omega = self.options.get("omega_first")
        if self.full_size is None or not isinstance(omega, float):
            return {}
        share = min(1.0, max(resolution) / self.full_size)
        return {"omega_first": _short(max(share**0.5 * omega, LEAST_OMEGA))}

    def rate(self, optimizer: str) -> float | None:
        """Return the learning rate with an optimiser, None for the model's own."""
        return {DEFAULT: self.adam_lr, self.optimizer: self.lr}.get(optimizer)


LEAST_OMEGA = 30.0  # rad per half span, of a first layer that follows the size of a signal
PLAIN = Tuned()
PICTURES: dict[str, Tuned] = {
    # by trials on sample pictures; fewer steps to 25 ... 40 dB on all five that were compared: docs/models.md
    "lrnn": Tuned(
        4e-3,
        optimizer="nadam",
        adam_lr=2e-3,
        options={
            "dbar": 2,
            "omega_first": 160.0,
            "omega_hidden": 10.0,
            "first_scales": "spread",
            "hidden_rate": 0.5,
        },
        full_size=256,
        width=219,
        start_ridge=0.1,
    ),
    # the search, in ten seconds, had 2e-3, and 4.3e-2 for mfn: too high in a minute (docs/models.md)
    "finer": Tuned(1e-3, options={"omega_first": 39.0, "first_bias": 2.6}),
    "gauss": Tuned(1.2e-2, options={"scale": 10.0}),
    "wire": Tuned(1.2e-2, options={"omega_first": 6.8, "omega_hidden": 8.4, "scale": 3.9}),
    "fourier": Tuned(4.3e-2, frequency=3.0),
    "relu-pe": Tuned(1.2e-2),
    "mfn": Tuned(frequency=2.9),
}
SOUNDS: dict[str, Tuned] = {
    # by a search on short clips and runs of five minutes: a sixth of the error on bach (docs/audio.md)
    "lrnn": Tuned(5e-4, options={"dbar": 2}, width=219, fit={"schedule": "cos:0.02"}),
    # with its own 1e-3, falling as 1 / t, more steps were worse on all four clips (docs/audio.md)
    "siren": Tuned(2e-4, fit={"schedule": "cos:0.02"}),
    "spder": Tuned(5.6e-4, options={"omega_hidden": 100.0}),
    "finer": Tuned(1.2e-2, frequency=0.34, options={"first_bias": 0.42}),
    "fourier": Tuned(1.2e-2, frequency=0.34),
    "relu-pe": Tuned(4.3e-2),
    "mfn": Tuned(4.3e-2, frequency=2.9),
    "kan": Tuned(4.3e-2, options={"grid": 23}),
}
TABLES = {"image": PICTURES, "audio": SOUNDS}
SUGGESTED = ("omega_first", "scale")  # options that a signal may suggest
BY_SPECTRUM = ("audio", "function")  # kinds whose spectrum suggests them


def _short(value: float) -> float:
    """Return a number that is written with six digits at most."""
    return float(f"{value:.6g}")


def tuned_for(kind: str, model: str) -> Tuned:
    """Return what a kind of signal wants of a model; nothing in particular when it was not searched."""
    return TABLES.get(kind, {}).get(model, PLAIN)


def by_signal(kind: str, model: str) -> frozenset[str]:
    """Return the model's options that a signal decides when its fit is planned, unless they are given.

    Settings that are written leave them out, so that they are decided in the same way when they are read.
    """
    fields = config_class(model).model_fields if kind in (*TABLES, *BY_SPECTRUM) else {}
    found = {"scale"} if "scale" in fields and fields["scale"].default is None else set()
    if kind in BY_SPECTRUM and "omega_first" in fields:
        found.add("omega_first")
    tuned = tuned_for(kind, model)
    decided = frozenset(found) - set(tuned.options)
    return decided if tuned.full_size is None else decided | {"omega_first"}


def settle(
    signal: Signal,
    choice: ModelChoice,
    fit: FitSettings,
    tuned: Tuned,
    suggested: Mapping[str, float] = MappingProxyType({}),
) -> tuple[ModelChoice, FitSettings]:
    """Lay what a signal suggests, and what its kind wants of the model, below what the user gave.

    Args:
        signal: whose shape decides scales and octaves.
        choice: the model as chosen by the user.
        fit: training as chosen by the user.
        tuned: what the kind of signal wants of this model.
        suggested: frequencies that the content suggests; those unknown to the model are ignored.

    Returns:
        choice and training to make a plan of.
    """
    config = config_class(choice.name)
    given = {k: v for k, v in choice.options.items() if v is not None}
    found = config().for_signal(signal.resolution).model_dump(exclude_unset=True)
    found |= {k: v for k, v in suggested.items() if k in config.model_fields}
    found |= {k: _short(tuned.frequency * found[k]) for k in SUGGESTED if k in found}
    on_gpu = resolve_device(fit.device).type == "cuda"  # where recorded steps are Adam's
    optimizer = fit.optimizer or (DEFAULT if on_gpu else tuned.optimizer)
    return (
        choice.model_copy(
            update={
                "options": {
                    **found,
                    **tuned.options_for(choice.name, choice.params),
                    **tuned.by_size(signal.resolution),
                    **given,
                }
            }
        ),
        fit.model_copy(update={"optimizer": optimizer, "lr": fit.lr or tuned.rate(optimizer)}),
    )
