"""What heads and regularizers are made of: options, scheduled values, state, and arithmetic in float32 or wider."""

from __future__ import annotations

import functools
import math
import re
import sys
import warnings

import numpy as np

from lossbench import _gluon, inputs, param_names, signature
from lossbench import params as params_room
from lossbench._mxnet import mx
from lossbench.options import MOST_NUMBERS, is_count, require


def check_sizes(where: str, num_classes, embedding_size) -> tuple[int, int]:
    """Return the two sizes of a class parameter, or raise the error of a bad one."""
    rule = "be an integer of at least 1"
    require(is_count(num_classes), where, "num_classes", rule, num_classes, "Count the classes.")
    require(
        is_count(embedding_size), where, "embedding_size", rule, embedding_size, "It is the backbone's output size."
    )
    check_array(where, num_classes, embedding_size)
    return int(num_classes), int(embedding_size)


def check_array(where: str, *sizes: int) -> None:
    """Raise the error of class parameters that MXNet has no array for; the first size is the number of classes."""
    rest = " x ".join(map(str, sizes[1:]))
    rule, way_out = f"be less than 2^31 / ({rest})", "MXNet has no larger arrays: take a smaller embedding."
    require(math.prod(sizes) <= MOST_NUMBERS, where, "num_classes", rule, sizes[0], way_out)


def initializer(where: str, chosen, default):
    """Return an initializer: ``default``, or the one chosen by name or as an object."""
    if chosen is None:
        return default
    try:
        return mx.init.create(chosen)
    except (AssertionError, ValueError):
        rule, way_out = (
            "be an MXNet initializer or the name of one",
            "xavier, msraprelu, normal, uniform and zeros are.",
        )
        require(False, where, "weight_initializer", rule, chosen, way_out)


class LossBlock(mx.gluon.HybridBlock):
    """A block with a loss in it.

    A subclass declares what it may be built with in ``options`` (name -> `lossbench.options.Option`; those of its
    bases are inherited), registers its parameters in `setup` and names its running statistics in `state`. An option is
    an attribute of its name; one that is marked as scheduled is a parameter of shape (1,) without gradient, so that a
    schedule can move it after the graph was traced and a saved file holds it.

    Attributes
    ----------
    names : tuple of str
        What configs call the class; the first one, `config_name`, is its name in files and messages.
    options : dict of str to Option
        None in place of one that a base has: it has no meaning for this class.
    exceptions : dict of str to str
        Rules of `lossbench.testing` that the class is excepted from -> why.
    """

    names: tuple = ()
    config_name = ""
    options: dict = {}
    exceptions: dict = {}

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if vars(cls).get("names"):
            cls.config_name = cls.names[0]
        own = vars(cls).get("options", {})
        inherited = {name: option for name, option in super(cls, cls).options.items() if name not in own}
        cls.options = {name: option for name, option in {**own, **inherited}.items() if option is not None}
        if "hybrid_forward" in vars(cls):
            cls.hybrid_forward = with_parameters_of_nd(cls.hybrid_forward)
        signature.sign(cls)
        if cls.__doc__ and "Parameters\n" not in cls.__doc__:
            cls.__doc__ = signature.documented(cls)

    def __new__(cls, *arguments, **options):
        self = super().__new__(cls)
        object.__setattr__(self, "_arguments", (arguments, options))
        return self

    def __init__(self, options: dict, *, prefix=None, params=None):
        """Take over options that a subclass was called with, then register what it has."""
        super().__init__(prefix=prefix, params=params)
        self._dtype = "float32"
        self._values = self._checked(options)
        self._schedulable = self.schedulable(self._values)
        for name, value in self._values.items():
            if not self.options[name].scheduled:
                setattr(self, name, value)
        try:
            self._register()
        except AssertionError as error:  # where `params` holds a parameter of that name in another form
            unlike = re.search(r"Parameter '(\w+)'", str(error))
            if params is None or unlike is None:
                raise
            rule, way_out = "be those of a block with the same sizes and options", "Build both alike."
            require(False, type(self).__name__, "params", rule, f"another {unlike[1]}", way_out)

    def _register(self):
        self.setup()
        for name in self._schedulable:
            self._constant(name, self._values[name])
        for name, value in self.state().items():
            self._constant(name, value)

    @classmethod
    def schedulable(cls, values: dict) -> tuple:
        """Return the names of the options that a schedule may move, where the options have these values."""
        return tuple(name for name, option in cls.options.items() if option.scheduled)

    @classmethod
    def agree(cls, values: dict) -> None:
        """Raise the error of options that do not go together (`lossbench.options.require`)."""

    def setup(self) -> None:
        """Register the learned parameters; options that are not scheduled are attributes by now."""

    def state(self) -> dict:
        """Return the running statistics, name -> value at the start: a number each.

        They are parameters without gradient that are saved and loaded with the others. `hybrid_forward` moves them by
        `lossbench.ops.moved`: only while training, and before the new value is used.
        """
        return {}

    def _checked(self, options: dict) -> dict:
        where = type(self).__name__
        for name in options:
            if name not in self.options:
                raise TypeError(f"{where}.__init__() got an unexpected keyword argument {name!r}")
        given = {name: options.get(name, option.default) for name, option in self.options.items()}
        values = {name: self.options[name].check(where, name, value) for name, value in given.items()}
        self.agree(values)
        return values

    def _constant(self, name: str, value: float) -> None:
        """Register a number that no gradient moves."""
        with self.name_scope():
            parameter = self.params.get(
                name, shape=(1,), init=mx.init.Constant(float(value)), lr_mult=0.0, wd_mult=0.0, differentiable=False
            )
        setattr(self, name, parameter)

    def scheduled(self) -> dict:
        """Return the values that a schedule may move, by name."""
        return {name: self._read(getattr(self, name)) for name in self._schedulable}

    @staticmethod
    def _read(parameter) -> float:
        if not _gluon.is_initialized(parameter):
            return float(parameter.init.value)
        # By way of its shortest decimal form: a float32 0.35 reads as 0.35, not as 0.3499999940.
        return float(str(parameter.list_data()[0].asnumpy()[0]))

    def set_scheduled(self, name: str, value: float) -> None:
        """Set a scheduled value; it takes effect at the next call, hybridized or not, on every context.

        Raises
        ------
        ValueError
            If this block has no such scheduled value, or the value is outside its range.
        """
        where, known = type(self).__name__, ", ".join(self._schedulable) or "none"
        rule = f"be a scheduled value of this block ({known})"
        require(name in self._schedulable, where, "name", rule, name, "See scheduled().")
        self._set(getattr(self, name), self.options[name].check(where, name, value))

    @staticmethod
    def _set(parameter, value: float) -> None:
        if abs(value) < sys.float_info.min:
            value = 0.0  # MXNet reads no such number, and a schedule comes to it on its way down
        if not _gluon.is_initialized(parameter):
            parameter.init = mx.init.Constant(float(value))
            return
        with mx.autograd.pause():
            for array in parameter.list_data():
                array[:] = float(value)

    def cast(self, dtype) -> None:
        """Change the type of parameters and arithmetic.

        ``float64`` changes everything; ``float16`` and ``bfloat16`` leave both float32, because embeddings of these
        types are accepted anyway and cast inside.
        """
        name = "bfloat16" if dtype in ("bfloat16", _gluon.BFLOAT16) else np.dtype(dtype).name
        good, where = name in ("float16", "bfloat16", "float32", "float64"), type(self).__name__
        require(good, where, "dtype", "be a float type", name, "Integer networks have no loss.")
        self._dtype = "float64" if name == "float64" else "float32"
        constants = {key: self._read(getattr(self, key)) for key in (*self._schedulable, *self.state())}
        super().cast(self._dtype)
        for key, value in constants.items():
            self._set(getattr(self, key), value)

    def copy(self, dtype: str = "float32"):
        """Return a block of its own with the same options and values, on the CPU, in that type."""
        arguments, options = self._arguments
        options = {name: value for name, value in options.items() if name not in ("prefix", "params")}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # what the block has to say of itself was said before
            twin = type(self)(*arguments, **options)
        twin.initialize()
        twin.cast(dtype)
        values = _gluon.named_parameters(self)
        for name, parameter in _gluon.named_parameters(twin).items():
            _gluon.set_value(parameter, _gluon.value(values[name]).as_in_context(mx.cpu()).astype(dtype))
        return twin

    def __reduce_ex__(self, protocol):
        rule, way_out = "be copied by its copy() and kept by save_parameters()", "Others' copies have no gradients."
        require(False, type(self).__name__, "block", rule, "copy or pickle", way_out)

    def load_parameters(self, filename, ctx=None, allow_missing=False, ignore_extra=False, **cast) -> None:
        """Load what ``save_parameters()`` or ``collect_params().save()`` wrote of such a block or a model around it.

        Takes the arguments of Gluon's own method.

        Raises
        ------
        ValueError
            If the file is no whole one, holds no such block or several, one in another shape, or one with more.
        """
        own = _gluon.named_parameters(self)
        shapes = {name: parameter.shape for name, parameter in own.items()}
        where, arrays = f"{type(self).__name__}: {filename}", params_room.read(filename)
        found = param_names.fitting(where, shapes, arrays, allow_missing, ignore_extra)
        loaded = {
            own[name].name: _gluon.in_its_form(own[name], mx.nd.array(array, dtype=array.dtype))
            for name, array in found.items()
        }
        self.collect_params().load_dict(loaded, ctx, allow_missing, **cast)

    def check_labels(self, label) -> None:
        """Raise the error of the first label that the block cannot take; by default it takes any."""

    def forward(self, embedding, label):
        for name, parameter in _gluon.own_parameters(self).items():
            dtype, way_out = np.dtype(parameter.dtype), "Call cast() of the block, or of the network around it."
            good = dtype == self._dtype or dtype.kind in "iu"
            require(good, type(self).__name__, name, f"be {self._dtype}", dtype.name, way_out)
        sizes = getattr(self, "embedding_size", None), getattr(self, "num_classes", None)
        found = super().forward(*inputs.flat(type(self).__name__, embedding, label, *sizes))
        return inputs.as_given(embedding, found)


def with_parameters_of_nd(hybrid_forward):
    """Hand the parameters to `hybrid_forward` as `mx.nd` has them: under ``npx.set_np()`` they are of `mx.np`."""

    @functools.wraps(hybrid_forward)
    def called(self, F, *arrays, **parameters):
        return hybrid_forward(self, F, *arrays, **{name: x.as_nd_ndarray() for name, x in parameters.items()})

    return called
