"""The figures themselves: functions of NumPy arrays or plain rows that return a matplotlib Figure. No pyplot."""

from lossbench.plots.checks import CannotDraw
from lossbench.plots.drawing.animation import Animation, animation
from lossbench.plots.drawing.circle import unit_circle
from lossbench.plots.drawing.confusion import confusion_matrix
from lossbench.plots.drawing.curves import training_curves
from lossbench.plots.drawing.embeddings import scatter
from lossbench.plots.drawing.gallery import Tile, gallery
from lossbench.plots.drawing.histograms import histograms, histograms_per_class
from lossbench.plots.drawing.projection import Projection, tsne
from lossbench.plots.drawing.regions import decision_regions
from lossbench.plots.drawing.roc import roc
from lossbench.plots.drawing.space import space
from lossbench.plots.drawing.style import save
from lossbench.plots.drawing.target_logit import Panel, target_logit

__all__ = [
    "Animation",
    "CannotDraw",
    "Panel",
    "Projection",
    "Tile",
    "animation",
    "confusion_matrix",
    "decision_regions",
    "gallery",
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
