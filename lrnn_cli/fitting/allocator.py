"""Keep freed memory for the next allocation instead of giving it back to the system after every block.

A block of the training loop allocates and frees the same few megabytes again and again. By default glibc
returns much of it to the system each time, and the system has to clear every page anew: hundreds of page
faults a block.
"""

import ctypes
import sys
from functools import lru_cache

# numbers of glibc's malloc.h
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 2**25  # bytes of one allocation; glibc takes no larger number
KEPT_IN_ALL = 2**28  # bytes free at the top of a heap before they go back


@lru_cache
def keep_freed_memory() -> bool:
    """Ask the C library to keep memory that was freed, once per process.

    Returns:
        whether it agreed; False where it is not glibc.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wishes = ((M_MMAP_THRESHOLD, LARGEST_KEPT), (M_TRIM_THRESHOLD, KEPT_IN_ALL))
    return all([mallopt(option, value) == 1 for option, value in wishes])
