"""Classification losses that shape the embedding space: trained, evaluated and compared in MXNet/Gluon.

Importing this package prepares the process for MXNet (see ``lossbench._mxnet``) without importing it. Heads and
regularizers are imported when they are first asked for: ``from lossbench import LGM, CenterLoss``.
"""

import importlib
from typing import TYPE_CHECKING

from lossbench import _mxnet

__version__ = "0.1.0"

_ROOMS = ("lossbench.heads", "lossbench.regularizers")


if TYPE_CHECKING:
    from lossbench.heads import *  # noqa: F403
    from lossbench.regularizers import *  # type: ignore[assignment]  # noqa: F403


def _classes() -> dict:
    rooms = [vars(importlib.import_module(room)) for room in _ROOMS]
    return {name: value for room in rooms for name, value in room.items() if isinstance(value, type)}


def __getattr__(name):
    # Only classes are looked for: to ask for a module must not import MXNet.
    if not name[:1].isupper() or name not in _classes():
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _classes()[name]


def __dir__():
    return sorted({*globals(), *_classes()})


_mxnet.prepare()
