#!/usr/bin/env python3
"""`predict.py --help` explains the arguments."""

import sys

from lossbench.cli.predict import main

if __name__ == "__main__":
    sys.exit(main())
