#!/usr/bin/env python3
"""`export.py --help` explains the arguments."""

import sys

from lossbench.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
