#!/usr/bin/env python3
"""`figures.py --help` explains the arguments."""

import sys

from lossbench.cli.figures import main

if __name__ == "__main__":
    sys.exit(main())
