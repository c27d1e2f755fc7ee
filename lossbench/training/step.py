"""The training step. Takes built objects; knows no file and no config.

The whole step runs as one static graph (backbone, head, regularizers and their sum) and waits for no value:
sums of loss and right answers and the first bad step stay on the device until the loop reads them.
"""

from __future__ import annotations

import collections
import math
import warnings

import numpy as np

from lossbench import _gluon, _mxnet
from lossbench._mxnet import mx
from lossbench.errors import UserError
from lossbench.training.communication import ALONE
from lossbench.training.parts import Parts

FLOAT32_COUNTS_TO = 2**24
_IN_FLIGHT = 4
_NO_STEP = 1e9


class NonFiniteLoss(FloatingPointError):
    """The loss became nan or infinite; the message says where and with which settings."""


class Objective(mx.gluon.HybridBlock):
    r"""What is minimized: the head's loss times its weight plus the regularizers' penalties.

    Inputs: image (B, channels, H, W), label (B,) and, with a window, the positions (B,) of the labels' classes in it.
    Outputs: loss (B,), and right (B,), 1 where the largest logit is the label's. With `loss_weight=0` the head gives
    logits only, and no gradient flows from it. With a `window` that is what is computed in place of the head: the same
    loss for the classes of a step, see `sampling`.
    """

    def __init__(self, backbone, head, regularizers=(), *, loss_weight=1.0, class_weights=None, window=None, **kwargs):
        super().__init__(**kwargs)
        self.loss_weight = loss_weight
        with self.name_scope():
            self.backbone = backbone
            self.head = head
            self.window = window
            self.regularizers = mx.gluon.nn.HybridSequential(prefix="")
            for regularizer in regularizers:
                self.regularizers.add(regularizer)
            self.class_weights = None
            if class_weights is not None:
                values = mx.nd.array(class_weights)
                self.class_weights = self.params.get_constant("class_weights", values)

    def hybrid_forward(self, F, image, label, position=None, class_weights=None):
        embedding = self.backbone(image)
        computed, place = (self.head, label) if self.window is None else (self.window, position)
        loss, logits = computed(embedding, place)
        loss = self._weighted(F, loss, label, class_weights)
        loss = loss * self.loss_weight if self.loss_weight else F.zeros_like(F.BlockGrad(loss))
        for regularizer in self.regularizers:
            loss = loss + regularizer(embedding, label)
        return loss, F.BlockGrad(self._right(F, logits, place))

    def _weighted(self, F, loss, label, class_weights):
        return loss if class_weights is None else loss * F.take(class_weights, label)

    def _right(self, F, logits, label):
        """Return 1 for each row (B,) whose largest logit is the label's, else 0."""
        right = F.broadcast_equal(F.argmax(logits, axis=1), F.cast(label, "float32"))
        if getattr(self.head, "num_classes", 0) <= FLOAT32_COUNTS_TO:
            return right
        # MXNet's argmax is float32, which has no class beyond: the label's logit must be the largest as well.
        return right * F.broadcast_equal(F.max(logits, axis=1), F.pick(logits, label, axis=1))

    def named_parameters(self) -> dict:
        """`backbone.…`, `head.…`, `regularizers.<name>.…` -> Parameter: the names that patterns and checkpoints use."""
        return self._named(self.head)

    def trained_parameters(self) -> dict:
        """The same, but of the head those that a step computes with."""
        return self._named(self.head if self.window is None else self.window)

    def _named(self, head) -> dict:
        named = {f"backbone.{n}": p for n, p in _gluon.named_parameters(self.backbone).items()}
        named.update((f"head.{n}", p) for n, p in _gluon.named_parameters(head).items())
        for regularizer in self.regularizers:
            own = _gluon.named_parameters(regularizer).items()
            named.update((f"regularizers.{regularizer.config_name}.{n}", p) for n, p in own)
        return named


class MixedObjective(Objective):
    r"""What is minimized where images are mixtures of two: :math:`w L(y) + (1 - w) L(y')`.

    Inputs: image (B, channels, H, W), label y (B,), other label y' (B,), weight w (B,). Outputs as of `Objective`;
    right is counted by the first label. Only for a head whose loss is a cross-entropy of its logits, without
    regularizers and window: then it is that of the mixed target.
    """

    def hybrid_forward(self, F, image, label, other, weight, class_weights=None):
        embedding = self.backbone(image)
        loss, logits = self.head(embedding, label)
        second, _ = self.head(embedding, other)
        loss = weight * self._weighted(F, loss, label, class_weights)
        loss = loss + (1 - weight) * self._weighted(F, second, other, class_weights)
        return loss * self.loss_weight, F.BlockGrad(self._right(F, logits, label))


class Trainer:
    """The training step of one model.

    Parameters
    ----------
    objective : Objective
        Initialized on `devices`; it is hybridized here.
    optimizers : Optimizers
        What applies the gradients.
    devices : list of Context
        A batch is split over them.
    rate_factor : callable
        step -> factor on the learning rates.
    sampling : Sampling, optional
        What brings the classes of each step into the objective's window.
    ranges : Ranges, optional
        What computes the loss where every rank has a range of the classes.
    scheduled : dict of str to callable
        Path (`head.margin`, `regularizers.center.loss_weight`) -> step -> value.
    accumulate_steps : int, default 1
        Batches whose gradients are summed into one update.
    seed : int
        The run's seed; MXNet's generator is seeded from (seed, epoch, step[, rank]) before every step.
    communicator : communication.Alone or communication.MPI
        With several ranks, each on one device, a batch is split over them: every rank is given the images of its part
        and all labels, and makes the same update.

    Attributes
    ----------
    step : int
        Updates done.
    parts : int
        Devices or ranks that a batch is split over.
    """

    def __init__(
        self,
        objective,
        optimizers,
        devices,
        *,
        rate_factor,
        scheduled,
        accumulate_steps=1,
        seed=0,
        communicator=ALONE,
        sampling=None,
        ranges=None,
    ):
        self.objective, self.optimizers, self.devices = objective, optimizers, devices
        self.sampling, self.ranges = sampling, ranges
        self.rate_factor, self.scheduled = rate_factor, scheduled
        self.accumulate_steps, self.seed, self.communicator = accumulate_steps, seed, communicator
        self.step = 0
        self._blocks = {"head": ranges.head if ranges else objective.head}
        self._blocks.update((f"regularizers.{r.config_name}", r) for r in objective.regularizers)
        self._set = {}
        self._in_flight = collections.deque()
        self._checked = False
        objective.hybridize(static_alloc=True, static_shape=True)
        self._trainable = {n: p for n, p in objective.trained_parameters().items() if p.grad_req != "null"}
        if accumulate_steps > 1:
            for parameter in self._trainable.values():
                parameter.grad_req = "add"
        self._parts = Parts(objective, devices, communicator, ranges)
        self.parts = self._parts.count
        self.reset_sums()

    def learning_rate(self, step: int) -> float:
        """Of the first group."""
        group = self.optimizers.groups[0]
        return group.learning_rate * (self.rate_factor(step) if group.schedule else 1.0)

    def scheduled_values(self, step: int) -> dict:
        """Path -> value, for every scheduled value."""
        return {path: value(step) for path, value in self.scheduled.items()}

    def reset_sums(self, loss: float = 0.0, right: float = 0.0) -> None:
        """Start the epoch's sums of loss and right answers at what an interrupted part of it left."""
        self._sums = mx.nd.array([loss, right], ctx=self.devices[0])
        self._first_bad = mx.nd.full((1,), _NO_STEP, ctx=self.devices[0])
        self._since = 0

    def apply_schedules(self) -> None:
        """Set every scheduled value to that of the current step."""
        for path, value in self.scheduled_values(self.step).items():
            if self._set.get(path) != value:
                block, _, name = path.rpartition(".")
                self._blocks[block].set_scheduled(name, value)
                self._set[path] = value

    def update(self, batches: list, epoch: int, epoch_step: int) -> int:
        """One update from `accumulate_steps` batches of what the objective takes; returns the number of images in it.

        With several ranks the images are those of this one, the labels those of the whole batch.
        """
        self.apply_schedules()
        rank = self.communicator.rank
        _mxnet.seed(self.seed, epoch, epoch_step, *([rank] if rank else []))
        self._parts.begin(f"epoch {epoch}, step {epoch_step + 1}")
        if self.sampling:
            self.sampling.begin(np.concatenate([label for _, label in batches]), self.step, self.optimizers.halves)
        images = 0
        with warnings.catch_warnings():
            # the first call traces the network; what it finds unused is refused below, with a way out
            warnings.filterwarnings("ignore", message="(Parameter|The) .* is not used by any computation")
            for image, label, *mixture in batches:
                images += len(label)
                self._backward(image, label, *mixture)
        for loss, right in self._parts.combine():
            self._add_up(loss, right)
        if not self._checked:
            self._refuse_untrained()
        self.optimizers.update(images, self.rate_factor(self.step))
        if self.sampling:
            self.sampling.end(self.optimizers.halves)
        if self.accumulate_steps > 1:
            for parameter in self._trainable.values():
                parameter.zero_grad()
        self.step += 1
        self._since += 1
        return images

    def _backward(self, image, label, *mixture):
        positions = [self.sampling.positions(label)] if self.sampling else []
        parts = self._parts.of(image, label, *positions, *mixture)

        if self.ranges:
            self._parts.done(label, self.ranges.backward(parts, label, self._parts.start(label)))
            return
        with mx.autograd.record():
            outputs = [self.objective(*part) for part in parts]
        if outputs:
            mx.autograd.backward([loss for loss, _ in outputs])
        self._parts.done(
            label, [(mx.nd.sum(loss).reshape((1,)), mx.nd.sum(right).reshape((1,))) for loss, right in outputs]
        )
        self._in_flight.extend(loss for loss, _ in outputs[-1:])
        if len(self._in_flight) > _IN_FLIGHT:
            self._in_flight.popleft().wait_to_read()

    def _add_up(self, loss, right):
        """Count the loss and the right answers of a part of a batch, each of shape (1,)."""
        self._sums += mx.nd.concat(loss, right, dim=0)
        finite = mx.nd.abs(loss) <= np.finfo(np.float32).max
        self._first_bad = mx.nd.minimum(self._first_bad, finite * _NO_STEP + self._since)

    def _refuse_untrained(self):
        """A parameter that got no gradient looks alive and is not: say so at the first step.

        Zeros are none, but in a backbone, and in a regularizer whose weight is 0, from where it may rise.
        """
        regularizers = [path for path in self._blocks if path != "head"]
        switched_off = [f"{path}." for path in regularizers if 0 in self._blocks[path].scheduled().values()]
        may_be_zero = ("backbone.", *switched_off)
        stale = [
            name
            for name, parameter in self._trainable.items()
            if not _gluon.got_gradient(parameter)
            or (not name.startswith(may_be_zero) and not any(g.asnumpy().any() for g in parameter.list_grad()))
        ]
        if stale:
            raise UserError(
                f"trainer: every trainable parameter must get a gradient, got none for {', '.join(stale)}. "
                "List it under `freeze`, or give it a part in the loss."
            )
        self._checked = True

    def require_finite_parameters(self, epoch: int) -> None:
        """Raise where the last update of an epoch broke a parameter, which no loss has seen yet."""
        for name, parameter in self.objective.named_parameters().items():
            if not np.isfinite(parameter.data(self.devices[0]).asnumpy()).all():
                raise self.broken(name, epoch)

    def broken(self, what: str, epoch: int) -> FloatingPointError:
        """What to raise where the last update of an epoch left something that is not finite."""
        return FloatingPointError(
            f"trainer: {what} must be finite, got nan or inf after the last step of epoch {epoch} "
            f"(learning_rate {self.learning_rate(self.step - 1):g}, head {self.objective.head.config_name})."
        )

    def read_sums(self, epoch: int, epoch_step: int) -> tuple[float, float]:
        """The epoch's sums of loss and right answers; waits for the device.

        Raises
        ------
        NonFiniteLoss
            A loss since the last reading was nan or infinite; names the first such step.
        """
        totals = self._sums.asnumpy().astype(np.float64)
        first = float(self._first_bad.asscalar())
        if first < _NO_STEP:
            back = self._since - int(first)
            value = "nan" if math.isnan(totals[0]) else "infinite"
            rate = self.learning_rate(self.step - back)
            raise NonFiniteLoss(
                f"trainer: loss is {value} at epoch {epoch}, step {epoch_step - back + 1} "
                f"(learning_rate {rate:g}, head {self.objective.head.config_name})."
            )
        self._since = 0
        self._first_bad[:] = _NO_STEP
        return float(totals[0]), float(totals[1])
