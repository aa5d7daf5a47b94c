"""What a command would do: its complete configuration, asked of the command itself."""

import contextlib
import io
from collections.abc import Sequence
from typing import Any

from lrnn_cli.cli.failures import classify, one_line
from lrnn_cli.errors import ConfigError


def resolved_config(task: str, words: Sequence[str], *, takes_file: bool) -> dict[str, Any]:
    """Return what `lrnn TASK WORDS --print-config` prints; nothing is read or written.

    Args:
        task: the command.
        words: its options.
        takes_file: whether it takes an input file, for which a name stands in.

    Returns:
        the configuration, defaults included.

    Raises:
        ConfigError: with the command's own complaint.
    """
    import yaml

    from lrnn_cli.cli.group import Session, build

    said = io.StringIO()
    args = [task, *(["any"] if takes_file else []), *words, "--print-config"]
    try:
        with contextlib.redirect_stdout(said):
            build().main(args, prog_name="lrnn", standalone_mode=False, obj=Session())
    except Exception as error:
        raise ConfigError(one_line(classify(error).message)) from error
    return dict(yaml.safe_load(said.getvalue()))
