"""`python -m lrnn_cli`: the same command as `lrnn`."""

import sys

from lrnn_cli.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
