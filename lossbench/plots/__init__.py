"""Figures: each function takes NumPy arrays or plain rows and returns a matplotlib Figure; `save` writes it.

Nothing here imports MXNet or pyplot.
"""

from lossbench.plots.animation import Animation, animation
from lossbench.plots.checks import CannotDraw
from lossbench.plots.circle import unit_circle
from lossbench.plots.confusion import confusion_matrix
from lossbench.plots.curves import training_curves
from lossbench.plots.embeddings import scatter
from lossbench.plots.histograms import histograms, histograms_per_class
from lossbench.plots.projection import Projection, tsne
from lossbench.plots.regions import decision_regions
from lossbench.plots.roc import roc
from lossbench.plots.space import space
from lossbench.plots.style import save
from lossbench.plots.target_logit import Panel, target_logit

__all__ = [
    "Animation",
    "CannotDraw",
    "Panel",
    "Projection",
    "animation",
    "confusion_matrix",
    "decision_regions",
    "histograms",
    "histograms_per_class",
    "roc",
    "save",
    "scatter",
    "space",
    "target_logit",
    "training_curves",
    "tsne",
    "unit_circle",
]
