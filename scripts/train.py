#!/usr/bin/env python3
"""`train.py --help` explains the arguments."""

import sys

from lossbench.cli.train import main

if __name__ == "__main__":
    sys.exit(main())
