"""Decoding without the decoders' own words.

The MPEG decoder inside libsndfile writes its findings straight to file descriptor 2. What matters of them
comes back as an error or as missing samples, and is reported in one line of our own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

STDERR = 2


@contextmanager
def silenced_stderr() -> Iterator[None]:
    """Let everything written to descriptor 2 vanish, that of C libraries too, until the block is left.

    Nothing changes when the process has no descriptor 2, or none to spare.

    Yields:
        nothing.
    """
    try:
        kept = os.dup(STDERR)
    except OSError:
        yield
        return
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, STDERR)
        os.close(nowhere)
        yield
    finally:
        os.dup2(kept, STDERR)
        os.close(kept)
