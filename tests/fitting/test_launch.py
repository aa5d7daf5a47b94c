"""What torchrun says of a process, and what follows for device and threads."""

import os

import pytest
import torch

from lrnn_cli.errors import ConfigError, DeviceError
from lrnn_cli.fitting.device import resolve_device, resolve_threads
from lrnn_cli.fitting.launch import Place, place

SECOND = {
    "TORCHELASTIC_RUN_ID": "x",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
}


@pytest.fixture
def second(monkeypatch):
    for name, value in SECOND.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    return monkeypatch


def test_the_place():
    assert place({}) == Place(0, 1, 0, 1)
    assert place({"WORLD_SIZE": "4", "RANK": "1"}) == Place()  # of another launcher: not for us
    assert place(SECOND) == Place(3, 4, 1, 2)


@pytest.mark.parametrize("broken", [{"RANK": "one"}, {"WORLD_SIZE": ""}])
def test_variables_that_make_no_sense(broken):
    with pytest.raises(ConfigError) as caught:
        place({**SECOND, **broken})
    expected = (
        "torchrun: expected numbers in RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE of the environment"
    )
    assert str(caught.value) == expected


def test_a_gpu_for_each(second, gpus):
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda", 1)
    assert resolve_device("cpu") == torch.device("cpu")


def test_no_choice_of_gpus(second, gpus):
    with pytest.raises(ConfigError) as caught:
        resolve_device("cuda:0")
    expected = "device cuda:0: the processes of torchrun take a GPU each; use --device cuda"
    assert str(caught.value) == expected


def test_fewer_gpus_than_processes(second, gpus):
    gpus.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError) as caught:
        resolve_device("cuda")
    assert str(caught.value) == (
        "device cuda: 2 processes, but 1 GPUs; use torchrun --nproc-per-node 1, or --device cpu"
    )


def test_threads_are_shared(second, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: set(range(6)), raising=False)
    assert resolve_threads(None) == 3
    assert resolve_threads(5) == 5
    monkeypatch.setattr(os, "sched_getaffinity", lambda who: {0}, raising=False)
    assert resolve_threads(None) == 1
