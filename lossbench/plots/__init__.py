"""Figures: each function takes NumPy arrays or plain rows and returns a matplotlib Figure; `save` writes it.

Nothing here imports MXNet or pyplot. matplotlib and scikit-learn, whose import takes seconds, are imported with the
first figure that is asked for.
"""

from lossbench.plots.checks import CannotDraw

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


def __getattr__(name):
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import lossbench.plots.drawing as drawing

    return getattr(drawing, name)


def __dir__():
    return sorted({*globals(), *__all__})
