"""Metrics of embeddings and scores: NumPy arrays in, plain dictionaries out. No module here imports MXNet.

`METHODS` is the one table of evaluation methods. What needs scikit-learn imports it when it runs: that takes a second.
"""

from lossbench.evaluation.checks import Unavailable
from lossbench.evaluation.context import Context, Options
from lossbench.evaluation.decisions import evaluate, predict
from lossbench.evaluation.method import Method, Value
from lossbench.evaluation.methods import METHODS, at_the_end, measure, natural_split, suiting

__all__ = [
    "METHODS",
    "Context",
    "Method",
    "Options",
    "Unavailable",
    "Value",
    "at_the_end",
    "evaluate",
    "measure",
    "natural_split",
    "predict",
    "suiting",
]
