"""Run folders: what a training wrote, read and written without MXNet by every command.

Here stands what is true of the files of one run: where they are, how they are read and written, when the run is
finished. Models, data and pictures are made elsewhere.

>>> from lossbench.runs import Run
>>> Run("runs/never_begun/seed-0").is_finished
False
"""

from __future__ import annotations

from lossbench.runs.finding import find, shown, to_open
from lossbench.runs.run import Evaluation, Run, write_arrays

__all__ = ["Evaluation", "Run", "find", "shown", "to_open", "write_arrays"]
