"""What `-` reads."""

import sys

from lrnn_cli.errors import InputError


def read_stdin() -> bytes:
    """Return all bytes of stdin.

    Raises:
        InputError: when it is closed, or cannot be read.
    """
    if sys.stdin is None:  # as Python finds it when the descriptor is closed
        raise InputError("-: stdin is closed; send the file through a pipe, or give its name")
    try:
        return sys.stdin.buffer.read()
    except OSError as error:
        raise InputError(f"-: cannot read stdin ({error.strerror or error})") from error
