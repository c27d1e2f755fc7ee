#!/usr/bin/env python3
"""`eval.py --help` explains the arguments."""

import sys

from lossbench.cli.eval import main

if __name__ == "__main__":
    sys.exit(main())
