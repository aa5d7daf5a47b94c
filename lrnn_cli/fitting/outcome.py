"""How a training run ended, in sentences for the user."""

from enum import StrEnum


class Outcome(StrEnum):
    """Names for programs; `sentence` for people."""

    BUDGET = "budget"
    TARGET = "target"
    INTERRUPTED = "interrupted"
    DIVERGED = "diverged"

    @property
    def sentence(self) -> str:
        """What happened and, where something can be done, what to do."""
        return {
            Outcome.BUDGET: "the budget of steps or time was used up",
            Outcome.TARGET: "the target was reached",
            Outcome.INTERRUPTED: "interrupted; --resume continues where it stopped",
            Outcome.DIVERGED: "the training diverged and could not be mended; the last good state was kept: "
            "use a lower --lr, and leave the guard on",
        }[self]
