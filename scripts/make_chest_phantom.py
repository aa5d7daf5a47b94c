"""Draws sample_data/chest_phantom512_u16.png: `python scripts/make_chest_phantom.py [FILE]`.

A pixel v of 0 … 65535 stands for 2000 v / 65535 - 1000 Hounsfield units, rounded to whole units as scanners
do.
"""

import sys
from pathlib import Path

import numpy as np

from lrnn_cli.numerics.chest_phantom import chest
from lrnn_cli.signals.png16 import encode

SIZE, SEED, UNITS = 512, 0, 2000
TARGET = Path(__file__).resolve().parent.parent / "sample_data" / "chest_phantom512_u16.png"


def main() -> None:
    """Draw and write."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    whole_units = np.round(chest(SIZE, SEED) * UNITS) / UNITS
    target.write_bytes(encode(np.round(whole_units * 65535).astype(np.uint16)[:, :, None]))


if __name__ == "__main__":
    main()
