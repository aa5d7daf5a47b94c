"""From STUDY.yaml to jobs: reading the file, and asking the command for its complete configuration."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrnn_cli.cli.merge import load_yaml, merge
from lrnn_cli.cli.resolving import resolved_config
from lrnn_cli.errors import ConfigError

if TYPE_CHECKING:
    from lrnn_cli.studies.jobs import JobPlan
    from lrnn_cli.studies.study import Combination, Study

DEFAULT_FOLDER = "studies"


def load_plan(path: Path, inputs: Sequence[str] | None) -> "JobPlan":
    """Read a study and turn it into jobs.

    Args:
        path: the file.
        inputs: replace those of the file, relative to the working directory.

    Returns:
        the plan; nothing has been written.

    Raises:
        ConfigError: when the file, or an option in it, makes no sense.
        InputError: when inputs are missing.
    """
    from lrnn_cli.studies.jobs import plan_jobs
    from lrnn_cli.studies.study import Study

    try:
        data = load_yaml(path)
    except ConfigError as error:
        raise ConfigError(str(error).removeprefix("--config ")) from error
    if inputs:
        data["inputs"] = [str(text) for text in inputs]
    study = merge(Study, yaml=data, yaml_name=str(path))
    base = Path() if inputs else path.parent
    return plan_jobs(study, base, lambda combination, words: _resolve(study, combination, words, path))


def study_folder(plan: "JobPlan", output: str | None) -> Path:
    """Return the folder of results: studies/NAME unless another one is given."""
    return Path(output) if output is not None else Path(DEFAULT_FOLDER) / plan.study.name


def _resolve(study: "Study", combination: "Combination", words: Sequence[str], path: Path) -> dict[str, Any]:
    """Return what `lrnn TASK … --print-config` prints for a combination.

    Raises:
        ConfigError: with the command's own complaint, and where in the study it comes from.
    """
    import yaml

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "settings.yaml"
        file.write_text(yaml.safe_dump(combination.groups()), encoding="utf-8")
        args = [*words, f"--{study.kind.model_option}", combination.model, *combination.options()]
        args += ["--config", str(file)]
        try:
            return resolved_config(study.task, args, takes_file=bool(study.kind.suffixes))
        except ConfigError as error:
            text = str(error).replace(f" ({file})", "").replace(f"--config {file}: ", "")
            raise ConfigError(f"{path}: {combination.label}: {text}") from error
