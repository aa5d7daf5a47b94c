"""Freed memory is kept: a block's tensors come from where the last ones lay, without new pages."""

import ctypes
import subprocess
import sys

import pytest

from lrnn_cli.fitting import allocator

FAULTS = """
import ctypes, resource, sys, torch
from lrnn_cli.fitting import allocator
# by itself glibc moves its threshold now and then; here it starts by giving back every larger piece
assert ctypes.CDLL(None).mallopt(allocator.M_MMAP_THRESHOLD, 2**17) == 1
if sys.argv[1] == "keep":
    assert allocator.keep_freed_memory()
def once():
    kept = [torch.ones(400_000) for _ in range(8)]
for _ in range(3):
    once()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    once()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def is_glibc():
    return sys.platform.startswith("linux") and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.mark.skipif(not is_glibc(), reason="only glibc has mallopt")
def test_no_new_pages_for_the_same_sizes():
    def faults(way):
        done = subprocess.run([sys.executable, "-c", FAULTS, way], capture_output=True, text=True, check=True)
        return int(done.stdout)

    assert faults("keep") < 1000 < faults("leave")


def test_elsewhere_it_says_no(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    assert allocator.keep_freed_memory.__wrapped__() is False


def test_a_library_without_the_function(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "linux")
    monkeypatch.setattr(allocator.ctypes, "CDLL", lambda name: object())
    assert allocator.keep_freed_memory.__wrapped__() is False
