"""The settings of `solve-poisson` as the user writes them: the problem, and how to solve it."""

from pydantic import BaseModel, ConfigDict, Field

from lrnn_cli.fitting.solve_settings import SolveSettings
from lrnn_cli.objectives.poisson import ProblemConfig


class PoissonSettings(BaseModel):
    """A problem (`objectives.poisson`) and a solver (`fitting.solve_settings`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    problem: ProblemConfig = Field(default_factory=ProblemConfig)
    solve: SolveSettings = Field(default_factory=SolveSettings)
