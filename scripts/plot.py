#!/usr/bin/env python3
"""`plot.py --help` explains the arguments."""

import sys

from lossbench.cli.plot import main

if __name__ == "__main__":
    sys.exit(main())
