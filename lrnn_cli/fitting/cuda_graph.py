"""Work on a GPU, recorded as one CUDA graph once it was done a few times, and played from then on.

With small networks the host needs longer to launch the operations of a step than the GPU to do them; playing
a graph launches them all at once. Work that is recorded reads and writes the same tensors every time.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch

WARM_UP = 3  # times that the work is launched before it is recorded, in which libraries and kernels set up


@lru_cache
def _side_stream(device: torch.device) -> Any:
    """Return the stream of a device on which work is recorded; libraries keep memory for each stream."""
    return torch.cuda.Stream(device)


class Recorded:
    """Call it to do the work; where recording fails, `note` says so, and operations are launched singly."""

    def __init__(self, work: Callable[[], None], device: torch.device) -> None:
        """Nothing is done yet; on the CPU a call is a call of `work`."""
        self.work, self.device, self.wanted = work, device, device.type == "cuda"
        self.note: str | None = None  # what there is to tell, once
        self._done = 0
        self._graph: Any = None

    def __call__(self) -> None:
        """Do the work: launched, recorded and played, or played."""
        if not self.wanted:
            self.work()
            return
        if self._graph is None and self._done >= WARM_UP:
            self._record()
        if self._graph is not None:
            self._graph.replay()
        elif self._done < WARM_UP:
            self._aside()
            self._done += 1  # not where it failed, for want of memory, say: then the next call warms up again
        else:
            self.work()

    def forget(self) -> None:
        """Record anew: tensors lie elsewhere, or blocks have another size."""
        self._graph, self._done = None, 0

    def told(self) -> str | None:
        """Return the note, the first time."""
        note, self.note = self.note, None
        return note

    def _aside(self) -> None:
        """Work on the stream on which it will be recorded."""
        with torch.cuda.device(self.device):
            stream = _side_stream(self.device)
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self.work()
            torch.cuda.current_stream().wait_stream(stream)

    def _record(self) -> None:
        try:
            with torch.cuda.device(self.device):
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph, stream=_side_stream(self.device)):
                    self.work()
            self._graph = graph
        except Exception as error:  # what a graph cannot hold is told in many ways
            first = (str(error).splitlines() or [type(error).__name__])[0][:160]
            self.note = f"no CUDA graph, operations are launched one by one ({first})"
            self.wanted = False
