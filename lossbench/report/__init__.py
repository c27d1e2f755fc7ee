"""One self-contained HTML page that compares runs. Needs no MXNet.

>>> from lossbench import report
>>> report.write(["runs/lgm_mnist", "runs/softmax_mnist"], "report.html")  # doctest: +SKIP
"""

from __future__ import annotations

from lossbench.report.writing import gather, write

__all__ = ["gather", "write"]
