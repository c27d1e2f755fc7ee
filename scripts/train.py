#!/usr/bin/env python3
"""`train.py --help` explains the arguments."""

import sys

from lossbench.cli import train

if __name__ == "__main__":
    sys.exit(train())
