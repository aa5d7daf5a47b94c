"""The table of optimisers."""

import sys
from typing import Any

import torch
from torch import Tensor

from lrnn_cli.fitting.nadam import NAdam
from lrnn_cli.models.contract import CoordinateModel

DEFAULT = "adam"
OPTIMIZERS = ("adam", "adamw", "nadam", "sgd")


def spare_compiler() -> None:
    """Let torch's optimisers do without importing its compiler, which takes 1.5 s, until they step.

    They keep the compiler away from some of their methods and import it for that at the first call, unless
    the method has an attribute that says how it is to be called then. Nothing here compiles with it. Steps of
    torch's own import it all the same; those of NAdam in machine code, the default of pictures, never do.
    Where torch names that attribute otherwise, the import takes its time as before.
    """
    if "torch._dynamo" in sys.modules:
        return
    for method in vars(torch.optim.Optimizer).values():
        inner = getattr(method, "__wrapped__", None)
        if inner is not None and not hasattr(inner, "__dynamo_disable"):
            inner.__dynamo_disable = inner


def make_optimizer(
    name: str, model: CoordinateModel, lr: float, *, beta2: float = 0.999, on_device: bool = False
) -> torch.optim.Optimizer:
    """Build an optimiser with the library's defaults (momentum 0.9 for sgd) over the parameters of a model.

    Args:
        name: one of `OPTIMIZERS`.
        model: what to train.
        lr: peak learning rate.
        beta2: memory of the second moment, for the relatives of Adam.
        on_device: keep rates and counts of steps on the device, as `device_steps` needs; adam and adamw only.

    Returns:
        the optimiser; parameters of the same `rate_factor` share a group, whose key `factor` holds it.

    Raises:
        ValueError: when there is no optimiser of that name.
    """
    if name not in OPTIMIZERS:
        raise ValueError(f"optimizer {name!r}: expected one of {', '.join(OPTIMIZERS)}")
    spare_compiler()
    factors: dict[float, list[torch.nn.Parameter]] = {}
    for key, parameter in model.named_parameters():
        factors.setdefault(model.rate_factor(key), []).append(parameter)
    groups: list[dict[str, Any]] = [
        {"params": members, "factor": factor, "lr": lr * factor} for factor, members in factors.items()
    ]
    betas = (0.9, beta2)
    if on_device:
        for group in groups:
            group["lr"] = torch.tensor(group["lr"], device=group["params"][0].device)
    capturable = on_device and next(model.parameters()).device.type == "cuda"
    if name == "adam":
        return torch.optim.Adam(groups, lr=lr, betas=betas, fused=True, capturable=capturable)
    if name == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=betas, fused=True, capturable=capturable)
    if name == "nadam":
        return NAdam(groups, lr=lr, betas=betas)
    return torch.optim.SGD(groups, lr=lr, momentum=0.9)


def load_state(optimizer: torch.optim.Optimizer, state: dict[int, dict[str, Any]]) -> None:
    """Give an optimiser a copy of a state, parameter number → name → value, exactly as it is.

    The optimiser's own `load_state_dict` shares the tensors with its argument, so that later steps would
    change that, too, and rounds all of them to the precision of the parameters.
    """
    copy = {
        number: {name: value.clone() if isinstance(value, Tensor) else value for name, value in entry.items()}
        for number, entry in state.items()
    }
    optimizer.load_state_dict({"state": copy, "param_groups": optimizer.state_dict()["param_groups"]})
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for number, entry in copy.items():
        loaded = optimizer.state[parameters[number]]
        for name, value in entry.items():
            if isinstance(value, Tensor):
                loaded[name] = value.to(loaded[name].device)
