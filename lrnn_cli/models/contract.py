"""The contract of every model: coordinates in, values out, with a linear head on top of features.

A model is an `nn.Module` that knows no loss, no optimiser and no file. Its last step is linear, y = S
phi(x) + s_0, so that the training can solve for (S, s_0) exactly by least squares whatever phi is.
"""

from typing import ClassVar, Self

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn


class ModelConfig(BaseModel):
    """Base of the configurations: frozen, an unknown key is an error.

    `width_key` names the integer field that `--params` solves for; `default_lr` and `default_lstsq` are the
    training settings used unless the user, or what `tasks/tuned.py` has for a kind of signal, gives others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
    width_key: ClassVar[str] = "width"
    default_lr: ClassVar[float] = 1e-3
    default_lstsq: ClassVar[tuple[str, ...]] = ("end",)

    @property
    def kernel_family(self) -> str | None:
        """Name in `kernels.families` of the function in the product layers; None for models without them."""
        return None

    def for_signal(self, shape: tuple[int, ...]) -> Self:
        """Return the configuration with the options that the signal decides, and the user did not, filled in.

        Such an option has the default None; tasks call this before they ask for the width.

        Args:
            shape: samples per axis, (n_1, ..., n_d).
        """
        return self


class CoordinateModel(nn.Module):
    """A network from coordinates (n, d) to values (n, c), linear in its last layer.

    Subclasses define `features` and set `head`.
    """

    head: nn.Linear
    coords_dtype: ClassVar[torch.dtype | None] = None  # precision of coordinates, if other than the weights'

    def features(self, coords: Tensor) -> Tensor:
        """Map coordinates (n, d) to the k features (n, k) that the head combines."""
        raise TypeError(f"{type(self).__name__} defines no features")

    def forward(self, coords: Tensor) -> Tensor:
        """Map coordinates (n, d) to values (n, c)."""
        return self.head(self.features(coords))

    def rate_factor(self, name: str) -> float:
        """Return the factor on the learning rate of this parameter, where parameters differ in scale."""
        del name
        return 1.0


def weight_bits(model: nn.Module) -> int:
    """Return the size of all parameters in bits, in the precision that they have."""
    return sum(8 * p.numel() * p.element_size() for p in model.parameters())


def count_parameters(model: nn.Module) -> int:
    """Return the number of real numbers learned: a complex parameter counts twice."""
    return sum(p.numel() * (2 if p.is_complex() else 1) for p in model.parameters())


def use_engine(model: CoordinateModel, name: str) -> None:
    """Tell a model with product layers which engine to use; others have nothing to choose."""
    setter = getattr(model, "use_engine", None)
    if setter is not None:
        setter(name)
