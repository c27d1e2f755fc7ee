#!/usr/bin/env python3
"""`benchmark.py --help` explains the arguments."""

import sys

from lossbench.cli.benchmark import main

if __name__ == "__main__":
    sys.exit(main())
