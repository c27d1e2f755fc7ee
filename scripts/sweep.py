#!/usr/bin/env python3
"""`sweep.py --help` explains the arguments."""

import sys

from lossbench.cli.sweep import main

if __name__ == "__main__":
    sys.exit(main())
