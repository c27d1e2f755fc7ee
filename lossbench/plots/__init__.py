"""Figures: each function takes NumPy arrays or plain rows and returns a matplotlib Figure; `save` writes it.

Nothing here imports MXNet or pyplot.
"""

from lossbench.plots.confusion import confusion_matrix
from lossbench.plots.curves import training_curves
from lossbench.plots.embeddings import decision_regions, scatter
from lossbench.plots.projection import Projection, tsne
from lossbench.plots.style import save
from lossbench.plots.target_logit import Panel, target_logit

__all__ = [
    "Panel",
    "Projection",
    "confusion_matrix",
    "decision_regions",
    "save",
    "scatter",
    "target_logit",
    "training_curves",
    "tsne",
]
