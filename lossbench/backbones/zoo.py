"""Any classification network of gluoncv as a backbone."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import sys
import warnings

from lossbench import _gluon
from lossbench._mxnet import mx
from lossbench.backbones.base import Backbone
from lossbench.backbones.layers import GlobalMean, Nothing
from lossbench.errors import UserError

HybridBlock, nn = mx.gluon.HybridBlock, mx.gluon.nn

INSTALL = "pip install gluoncv==0.10.5.post0"
OUTPUT_NAMES = ("output", "fc", "classifier")  # what gluoncv calls the layer after the pooled features
OTHER = re.compile(  # gluoncv's networks for other tasks, with integer weights, and with two outputs (NASNet)
    "_(coco|voc|ade|citys|mhpv1|custom|kitti|otb15|ucf101|hmdb51|sthsthv2|kinetics[0-9]+|int8|fpn)|pose|nasnet|hrnet.*_s$"
)


class Zoo(Backbone):
    """A classification network of gluoncv without its output layer, from image to embedding.

    Parameters
    ----------
    model : str
        The network's name in gluoncv, such as ``resnet18_v1`` or ``cifar_resnet20_v1``.
    image_shape : tuple of int, default (3, 224, 224)
        Channels, height and width of one image.
    embedding_size : int, optional
        None: the embedding is what the output layer would be given, the network's pooled features. A number: a linear
        layer of that size follows them.
    pretrained : bool, default False
        Start from gluoncv's published weights, which are downloaded unless they are in ``~/.mxnet/models``. They become
        each parameter's own initializer: ``initialize`` sets them, on whatever device, and only the linear layer of
        ``embedding_size`` starts from the initializer that is passed.

    Notes
    -----
    Inputs (B, channels, height, width), output (B, ``embedding_size``). Where the network's feature extractor holds a
    global average pooling, `GlobalMean` takes its place: the same numbers, but a CIFAR ResNet trains at twice the
    speed. gluoncv is imported when the first such network is built.

    Raises
    ------
    ValueError
        If gluoncv is not installed or has no such classification network, if the image does not suit it, or if its
        weights cannot be had.

    Examples
    --------
    >>> from lossbench._mxnet import mx
    >>> backbone = Zoo("cifar_resnet20_v1", image_shape=(3, 32, 32))  # doctest: +SKIP
    >>> backbone.initialize()  # doctest: +SKIP
    >>> backbone(mx.nd.zeros((2, 3, 32, 32))).shape  # doctest: +SKIP
    (2, 64)
    """

    def __init__(self, model: str, image_shape=(3, 224, 224), embedding_size=None, pretrained=False, **kwargs):
        super().__init__(image_shape, embedding_size, **kwargs)
        with self.name_scope():
            network = _network(model)
            if pretrained:
                _start_from(_pretrained(model), network)
            _gluon.replace_child(
                network, next(name for name in OUTPUT_NAMES if _gluon.child(network, name) is not None), Nothing()
            )
            shape = _speed_up(network, model, self.image_shape)
            self.features = nn.HybridSequential(prefix="")
            self.features.add(network)
            if len(shape) == 4:
                self.features.add(GlobalMean(*shape[2:]))
            self.embedding = None if embedding_size is None else nn.Dense(embedding_size, in_units=shape[1])
        self.embedding_size = embedding_size or shape[1]

    def hybrid_forward(self, F, x):
        x = self.features(x)
        return x if self.embedding is None else self.embedding(x)


def _model_zoo():
    try:
        with warnings.catch_warnings(), _torch_hidden():
            warnings.simplefilter("ignore")  # about distutils and optional parts
            from gluoncv import model_zoo
    except ImportError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"Zoo: gluoncv must be installed, got ImportError ({reason}). Try: {INSTALL}") from error
    return model_zoo


@contextlib.contextmanager
def _torch_hidden():
    """gluoncv refuses to be imported where it finds torch 2.0 or later, which its networks for MXNet do not need."""
    before = {"torch": sys.modules["torch"]} if "torch" in sys.modules else {}
    sys.modules["torch"] = None
    try:
        yield
    finally:
        del sys.modules["torch"]
        sys.modules.update(before)


def _network(model):
    names = sorted(name for name in _model_zoo().get_model_list() if not OTHER.search(name))
    if not isinstance(model, str) or model.lower() not in names:
        near = difflib.get_close_matches(str(model).lower(), names, n=3)
        hint = f"Did you mean {', '.join(near)}?" if near else "Examples are resnet18_v1 and mobilenet1.0."
        raise UserError(f"Zoo: `model` must be a classification network of gluoncv, got {model!r}. {hint}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # gluoncv's own, about NumPy
        return _model_zoo().get_model(model, pretrained=False)  # two of them fail unless told


def _pretrained(model):
    try:
        return _model_zoo().get_model(model, pretrained=True)
    except (OSError, RuntimeError, ValueError) as error:
        reason = "its download failed" if isinstance(error, OSError) else str(error).split("\n")[0]
        raise UserError(
            f"Zoo: `pretrained` must be false where weights cannot be had, got true for {model!r} ({reason}). "
            "Copy gluoncv's file for this network into ~/.mxnet/models, or set pretrained to false."
        ) from error


def _start_from(source, network):
    """Give each parameter of ``network`` the value it has in ``source`` as its own initializer."""
    values = _gluon.named_parameters(source)
    for name, parameter in _gluon.named_parameters(network).items():
        parameter.shape = values[name].shape
        parameter.init = _gluon.Value(values[name].data())


def _speed_up(network, model, image_shape):
    """Put a `GlobalMean` where the features end in a global pooling; return the shape of the network's output."""
    features = _gluon.child(network, "features")
    layers = list(features) if isinstance(features, nn.HybridSequential) else []
    while layers and isinstance(layers[-1], nn.Flatten):
        layers.pop()
    if layers and isinstance(layers[-1], nn.GlobalAvgPool2D):
        last = len(layers) - 1
        shape = _output_shape(features[:last], model, image_shape)
        _gluon.replace_child(features, str(last), GlobalMean(*shape[2:]))
    return _output_shape(network, model, image_shape)


def _output_shape(block, model, image_shape):
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # MXNet prints before it raises
            return block(mx.sym.var("image")).infer_shape(image=(1, *image_shape))[1][0]
    except mx.MXNetError as error:
        reason = str(error).strip().split("\n")[-1].split("Check failed: ")[-1]
        raise UserError(
            f"Zoo: `image_shape` must suit {model!r}, got {image_shape} ({reason}). "
            "Resize the images, or choose another network."
        ) from error
