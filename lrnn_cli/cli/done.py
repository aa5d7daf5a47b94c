"""What is said where a run lies in the folder that was asked for."""

from __future__ import annotations

from pathlib import Path

from lrnn_cli.errors import CheckpointError, ConfigError


def check_intent(*, force: bool, resume: bool) -> None:
    """Refuse to go on with a run and to start it anew at once.

    Raises:
        ConfigError: when both are asked for.
    """
    if force and resume:
        raise ConfigError(
            "--resume goes on with an unfinished run, --force starts it anew; leave one of them out"
        )


def done_already(
    path: Path, *, same_input: bool, same_settings: bool, resume: bool = False, kind: str = "input"
) -> str:
    """Say that a finished run is the one asked for.

    Args:
        path: its folder.
        same_input: it is of the same file, or the same problem.
        same_settings: everything else that decides the result is the same, too.
        resume: it was to be resumed, not skipped.
        kind: what a run is of.

    Returns:
        words for the user.

    Raises:
        CheckpointError: when it is of another input, or, to be resumed, of other settings.
    """
    if not same_input:
        what = f"of another {kind}"
    elif same_settings:
        return "done already"
    elif resume:
        what = "with other settings, and nothing is left to resume"
    else:
        return "done already, with other settings"
    raise CheckpointError(
        f"{path}: holds a finished run {what}; --force overwrites it, -o chooses another folder"
    )
