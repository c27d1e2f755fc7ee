#!/usr/bin/env python3
"""`embed.py --help` explains the arguments."""

import sys

from lossbench.cli import embed

if __name__ == "__main__":
    sys.exit(embed())
