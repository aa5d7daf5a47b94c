"""How many points a step takes when nobody says."""

import pytest
import torch

from lrnn_cli.tasks.regression import auto_batch


@pytest.mark.parametrize(
    ("device", "n_points", "batch"),
    [
        ("cpu", 500, 500), ("cpu", 2000, 1024), ("cpu", 65_536, 2048), ("cpu", 10**7, 8192),
        ("cuda", 500, 500), ("cuda", 2000, 1024), ("cuda", 65_536, 8192), ("cuda", 10**7, 65_536),
    ],
)  # fmt: skip
def test_the_batch_follows_signal_and_device(device, n_points, batch):
    assert auto_batch(n_points, torch.device(device)) == batch
