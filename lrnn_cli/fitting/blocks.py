"""Work on many points in blocks that fit in cache and memory, on all cores; any number of threads, same bits.

Each block runs on one thread from end to end: no synchronisation inside a layer, every temporary stays in the
cache of its core. Results come back in the order of the blocks, so that sums do not depend on who was faster.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from lrnn_cli.errors import DeviceError
from lrnn_cli.fitting.allocator import keep_freed_memory
from lrnn_cli.fitting.group import ALONE, Group

T = TypeVar("T")
A = TypeVar("A")
SMALLEST_BLOCK = 16
CPU_BLOCK = 1024  # points: the tensors of a layer of common width then stay in the caches
LEAST_CPU_BLOCK = 256  # points: in such blocks work costs a sixth to a quarter more than in blocks of 1024
CUDA_BLOCK = 2**17


def auto_block(batch_points: int, device: torch.device, cores: int) -> int:
    """Return the points of a block: small enough that every core gets one of a batch, all nearly alike.

    On the CPU the aim is the largest power of two that is at most the batch divided by the cores, from
    `LEAST_CPU_BLOCK` to `CPU_BLOCK`: two blocks of 512 cost up to 8 % more than one of 1024, which leaves a
    second core idle (docs/performance.md). The batch is then cut into equal blocks, as many as come nearest
    to the aim, none above `CPU_BLOCK`: a small rest would cost nearly what a block costs. Where blocks stay
    above `LEAST_CPU_BLOCK` their number is a multiple of the cores, so that none waits for the last block.

    Args:
        batch_points: of a step, in this process.
        device: a GPU takes `CUDA_BLOCK`.
        cores: that this process may use, not the threads asked for: sums, and so the last bits of a fit,
            follow the blocks, and shall not depend on the threads.
    """
    if device.type == "cuda":
        return CUDA_BLOCK
    share = max(1, batch_points // cores)
    aim = max(LEAST_CPU_BLOCK, 2 ** (share.bit_length() - 1))
    count = -(-batch_points // CPU_BLOCK) if aim >= CPU_BLOCK else max(1, round(batch_points / aim))
    rounds = -(-count // cores) * cores
    if batch_points // rounds >= LEAST_CPU_BLOCK:
        count = rounds
    # points beyond the batch, as for measures over a whole signal, go in blocks of this size, too
    return -(-batch_points // count) if count > 1 else max(LEAST_CPU_BLOCK, batch_points)


class BlockRunner:
    """Maps a function over blocks of points on a fixed number of threads; halves them if memory runs out."""

    def __init__(
        self,
        device: torch.device,
        *,
        threads: int = 1,
        block_points: int | None = None,
        group: Group = ALONE,
    ) -> None:
        """Start the threads; on CUDA one is enough.

        `group` are the processes that share the points of a batch and of a sum over all points.
        """
        self.device, self.group = device, group
        if device.type == "cpu":
            keep_freed_memory()
        self.block_points = block_points or (CPU_BLOCK if device.type == "cpu" else CUDA_BLOCK)
        self.threads = threads if device.type == "cpu" else 1
        self._pool = (
            ThreadPoolExecutor(self.threads, "lrnn-block", initializer=torch.set_num_threads, initargs=(1,))
            if self.threads > 1
            else None
        )

    def map(self, function: Callable[[A], T], items: Sequence[A]) -> Iterator[T]:
        """Yield function(item) in order."""
        if self._pool is None or len(items) < 2:
            return iter([function(item) for item in items]) if len(items) < 2 else map(function, items)
        return self._pool.map(function, items)

    def with_less_memory(self, work: Callable[[], T]) -> T:
        """Return work(), with `block_points` halved while memory runs out; DeviceError below the smallest."""
        while True:
            try:
                return work()
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                if self.block_points // 2 < SMALLEST_BLOCK:
                    raise DeviceError(
                        f"out of memory on {self.device} even with blocks of {self.block_points} points; "
                        "use a smaller model (--params) or --batch-points"
                    ) from error
                self.block_points //= 2
                if self.device.type == "cuda":
                    torch.cuda.empty_cache()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an exception means that memory ran out, on the CPU or on CUDA."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in ("can't allocate memory", "not enough memory"))


def paired(n: int, block: int) -> list[tuple[int, int]]:
    """Split range(n) into an even number of equal parts of at most `block`, so that two threads end together.

    Returns:
        the pairs, which do not depend on the number of threads; a range no longer than `block` stays whole.
    """
    pairs = -(-n // (2 * block)) if n > block else 0
    return ranges(n, -(-n // (2 * pairs)) if pairs else block)


def ranges(n: int, block: int) -> list[tuple[int, int]]:
    """Split range(n) into (start, stop) pairs of at most `block`."""
    return [(start, min(start + block, n)) for start in range(0, n, block)]
