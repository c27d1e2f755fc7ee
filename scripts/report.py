#!/usr/bin/env python3
"""`report.py --help` explains the arguments."""

import sys

from lossbench.cli.report import main

if __name__ == "__main__":
    sys.exit(main())
