"""Which of the processes of one run this is: what `torchrun` says in the environment. Nothing heavy here."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from lrnn_cli.errors import ConfigError


@dataclass(frozen=True)
class Place:
    """Number of this process, from 0, and of all; the same among those on this machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place(environment: Mapping[str, str] | None = None) -> Place:
    """Return the place that `torchrun` gave this process; without it, that of the only process.

    Args:
        environment: variables; None for those of the process.

    Raises:
        ConfigError: when the variables of torchrun make no sense.
    """
    found = os.environ if environment is None else environment
    if "TORCHELASTIC_RUN_ID" not in found:
        return Place()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
    try:
        rank, size, local_rank, local_size = (int(found[name]) for name in names)
    except (KeyError, ValueError):
        raise ConfigError(f"torchrun: expected numbers in {', '.join(names)} of the environment") from None
    return Place(rank, size, local_rank, local_size)
