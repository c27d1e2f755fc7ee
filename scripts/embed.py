#!/usr/bin/env python3
"""`embed.py --help` explains the arguments."""

import sys

from lossbench.cli.embed import main

if __name__ == "__main__":
    sys.exit(main())
