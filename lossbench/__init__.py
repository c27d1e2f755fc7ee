"""Classification losses that shape the embedding space: trained, evaluated and compared in MXNet/Gluon.

Importing this package prepares the process for MXNet (see ``lossbench._mxnet``) without importing it. Heads and
regularizers are imported when they are first asked for: ``from lossbench import LGM, CenterLoss``.
"""

import importlib

from lossbench import _mxnet

__version__ = "0.1.0"

_LAZY = {
    "Softmax": "lossbench.heads",
    "L2Softmax": "lossbench.heads",
    "NormFace": "lossbench.heads",
    "AMSoftmax": "lossbench.heads",
    "CosFace": "lossbench.heads",
    "ArcFace": "lossbench.heads",
    "LSoftmax": "lossbench.heads",
    "ASoftmax": "lossbench.heads",
    "SphereFace": "lossbench.heads",
    "LGM": "lossbench.heads",
    "CenterLoss": "lossbench.regularizers",
    "RingLoss": "lossbench.regularizers",
}


def __getattr__(name):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__():
    return sorted([*globals(), *_LAZY])


_mxnet.prepare()
