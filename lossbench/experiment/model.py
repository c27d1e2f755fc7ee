"""Backbone, head and regularizers of a config, put together for a dataset."""

from __future__ import annotations

import re
import warnings

from lossbench import _cores, _gluon, _mxnet, backbones, contract, heads, inference, patterns, regularizers
from lossbench._mxnet import mx
from lossbench.config import memory
from lossbench.errors import UserError
from lossbench.training import optimizers
from lossbench.training.ranges import range_of
from lossbench.training.step import MixedObjective, Objective


class Model:
    """Backbone, head and regularizers of a config, for images of a dataset.

    Parameters
    ----------
    settings : config.Config
    dataset : data.Dataset
    devices : list of Context
    rank, ranks : int
        Number of this process among those that train together, and how many these are. With `head.parallel` the head of
        rank 0 has all classes, for evaluation and checkpoints, and that of another those of its range alone.
    for_training : bool, default False
        Whether `backbone` is to be trained here: it then computes by the config's `trainer.precision`, and on a CPU in
        kernels that join batch normalization and ReLU. Embeddings and logits of `outputs` never do.

    Raises
    ------
    UserError
        A pattern of `freeze` matches nothing, or the device has no instructions for the precision.
    """

    def __init__(self, settings, dataset, devices, *, for_training=False, rank=0, ranks=1):
        memory.require_arrays(settings, dataset.num_classes)
        self.dataset, self.devices = dataset, devices
        self.has_ranges = settings.head.parallel == "classes" and ranks > 1
        first, end = self._range(rank, ranks) if self.has_ranges else (0, dataset.num_classes)
        self._classes_here = end - first
        self._head_classes = self._classes_here if rank else dataset.num_classes
        self.source, self.evaluation = settings.data.source, settings.evaluation
        self._workers = settings.data.workers
        self._backbone_section, self._head_section, self._optimizer = (
            settings.backbone,
            settings.head,
            settings.optimizer,
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._scorer = self._build_scorer()
        self.notes = [str(warning.message) for warning in caught]
        """What the head has to say of its settings, such as a margin that so few dimensions do not allow."""
        _mxnet.seed(settings.seed)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # said once, in the notes
            self.backbone, self.head = self._build()
        self.window = self._build_window(settings)
        size = self.backbone.embedding_size
        self.regularizers = regularizers.build(settings.regularizers, dataset.num_classes, size)
        augment = settings.data.augment
        self.objective = (MixedObjective if augment.mixup or augment.cutmix else Objective)(
            self.backbone,
            self.head,
            self.regularizers,
            loss_weight=settings.head.loss_weight,
            class_weights=settings.trainer.class_weights,
            window=self.window,
        )
        self._initialize()
        self._freeze(settings.freeze)
        self.is_for_training = for_training
        self.precision = "float32"
        """What the backbone's convolutions compute in here."""
        if for_training:
            self._prepare_training(settings.trainer.precision)

    def _range(self, rank, ranks):
        classes = self.dataset.num_classes
        if classes < ranks:
            raise UserError(f"head.parallel: must give {ranks} ranks a class each, got {classes}. Start fewer ranks.")
        return range_of(classes, rank, ranks)

    def _build(self):
        backbone = backbones.build(self._backbone_section, self.dataset.image_shape)
        head = heads.build(self._head_section, self._head_classes, backbone.embedding_size)
        return backbone, head

    def _build_window(self, settings):
        """The head of the classes that a step computes here, None where that is the head itself."""
        if self.has_ranges:
            return self._build_range()
        count = memory.computed_classes(settings, self.dataset.num_classes)
        if count == self.dataset.num_classes and settings.head.sample == 1:
            return None
        return self._window_of(count)

    def _window_of(self, count):
        for parameter in _gluon.own_parameters(self.head).values():
            parameter.grad_req = "null"  # the window has the gradients
        return self.head.of_classes(count)

    def _build_range(self):
        section = self._head_section
        smoothed = getattr(section, "label_smoothing", 0) or getattr(section, "focusing", 0)
        if not getattr(self.head, "by_ranges", False) or smoothed:
            raise UserError(
                f"head.parallel: must be null for {section.name} with these options, got classes. Its loss is no plain "
                "cross-entropy of each class's own logit. Take another head, or head.sample."
            )
        return None if self._head_classes == self._classes_here else self._window_of(self._classes_here)

    def _build_scorer(self):
        backbone, head = self._build()
        self._initialize_blocks(backbone, head)
        contract.require_outputs(
            head, backbone.embedding_size, self._head_classes, self._head_section.name, self.devices[0]
        )
        return inference.Scorer(backbone, head, self.dataset.image_shape, self.devices)

    def _initialize_blocks(self, backbone, head):
        backbone.initialize(backbones.initializer(self._backbone_section.initializer), ctx=self.devices)
        head.initialize(mx.init.Xavier(), ctx=self.devices)

    def _initialize(self):
        self._initialize_blocks(self.backbone, self.head)
        shapes = _gluon.named_parameters(self._scorer.backbone)
        for name, parameter in _gluon.named_parameters(self.backbone).items():
            _gluon.initialize_now(parameter, shapes[name].shape)
        for block in (*self.regularizers, *([self.window] if self.window is not None else ())):
            block.initialize(mx.init.Xavier(), ctx=self.devices)
        for regularizer in self.regularizers:
            contract.require_penalty(regularizer, self.backbone.embedding_size, self.devices[0])
        if self.objective.class_weights is not None:
            self.objective.class_weights.initialize(ctx=self.devices)

    def _freeze(self, wanted):
        trained = self.trained_parameters()
        for pattern in wanted:
            frozen = [trained[name] for name in patterns.found(pattern, trained, "freeze")]
            if not frozen:
                names = ", ".join(self.parameters())
                raise UserError(f"freeze: pattern must match a parameter, got {pattern!r}. Names are: {names}.")
            for parameter in frozen:
                parameter.grad_req = "null"
        if wanted and all(p.grad_req == "null" for p in self.trained_parameters().values()):
            raise UserError(f"freeze: patterns must leave a parameter to train, got {list(wanted)}. Take one out.")

    def _prepare_training(self, precision):
        has_onednn = _mxnet.has_onednn(self.devices)
        if has_onednn:
            backbones.fuse(self.backbone)
        has_bfloat16 = has_onednn and _cores.has_bfloat16()
        if precision == "bfloat16" and not has_bfloat16:
            raise UserError(
                "trainer.precision: must be float32 on this device, got bfloat16, for which it has no instructions "
                "(avx512_bf16 or amx_bf16 of a CPU). Take float32, or fastest."
            )
        is_faster = has_bfloat16 and _cores.is_bfloat16_faster(_mxnet.has_amx)
        if precision == "bfloat16" or (precision == "fastest" and is_faster):
            backbones.bfloat16.narrow(self.backbone)
            self.precision = "bfloat16"

    def parameters(self) -> dict:
        return self.objective.named_parameters()

    def trained_parameters(self) -> dict:
        """The same, but of the head those that a step computes with."""
        return self.objective.trained_parameters()

    @property
    def is_sampled(self) -> bool:
        """Whether a step computes with some of the classes."""
        return self.window is not None and not self.has_ranges

    def sampled(self) -> dict:
        """Name -> parameter with the rows of all classes, where a step computes with some of them."""
        own = _gluon.own_parameters(self.head)
        return {f"head.{name}": own[name] for name in self.head.class_rows()} if self.is_sampled else {}

    def groups(self) -> list:
        """The optimizer's groups: those of the config, then what the blocks ask for."""
        declared = []
        for regularizer in self.regularizers:
            prefix = f"regularizers.{regularizer.config_name}."
            for group in regularizer.default_groups():
                declared.append({**group, "pattern": f"^{re.escape(prefix)}(?:{group['pattern']})"})
        return optimizers.split(self.trained_parameters(), declared=declared, **self._optimizer.model_dump())

    def arrays(self) -> dict:
        """File stem -> name -> array: what a checkpoint holds of the model."""
        files = {"backbone": {}, "head": {}, "regularizers": {}}
        for name, parameter in self.parameters().items():
            stem, _, rest = name.partition(".")
            files[stem][rest] = parameter.list_data()[0].copyto(mx.cpu())
        return {stem: named for stem, named in files.items() if named}

    def load(self, arrays: dict, source, *, partial=False) -> list[str]:
        """Set the parameters from a checkpoint's arrays.

        Returns the names that were set. Unless `partial`, every parameter must be there in its shape; if so, scheduled
        values stay those of the config.
        """
        loaded = []
        blocks = {"head": self.head, **{f"regularizers.{r.config_name}": r for r in self.regularizers}}
        configured = {f"{path}.{name}" for path, block in blocks.items() for name in block.scheduled()}
        for name, parameter in self.parameters().items():
            if partial and name in configured:
                continue
            stem, _, rest = name.partition(".")
            array = arrays.get(stem, {}).get(rest)
            if array is not None and array.shape == parameter.shape:
                parameter.set_data(array)
                loaded.append(name)
            elif not partial:
                got = "none" if array is None else f"shape {array.shape}"
                raise UserError(f"checkpoint {source}: {name} must have shape {parameter.shape}, got {got}.")
        return loaded

    def images(self, split: str):
        """The images of `train`, `validation`, `test` or `holdout`; `ValueError` where there are none."""
        images = getattr(self.dataset, split)
        if not len(images):
            way_out = {
                "validation": " Train with data.validation_fraction above 0.",
                "holdout": " Train with classes held out, such as data.holdout_classes=[7,8,9].",
            }.get(split, "")
            raise UserError(f"data: split {split} must hold images, got none.{way_out}")
        return images

    def outputs(self, images, *, total=None, show=False) -> dict:
        """Embedding, logits and label of a split, in its order; no label reaches the network.

        Logits that would exceed `evaluation.max_memory_gb` are computed part by part, by the parameters of the moment;
        where the images are some of more, those of all `total` images count.
        """
        self._scorer.take_over(self.backbone, self.head)
        return inference.outputs(
            self._scorer.backbone,
            self._scorer.head,
            images,
            self.dataset.mean,
            self.dataset.std,
            batch_size=self.evaluation.batch_size,
            devices=self.devices,
            progress=show,
            num_classes=self.dataset.num_classes,
            max_memory_bytes=1e9 * self.evaluation.max_memory_gb,
            workers=self._workers,
            total=total,
        )

    def training_embedding(self, images):
        """Embedding of one batch of normalized images as a training step would see it."""
        self._scorer.take_over(self.backbone, self.head)
        return self._scorer.training_embedding(images)

    def description(self) -> dict:
        """The head's own; centers that a regularizer learned take the place of the head's prototypes."""
        centers = self.centers()
        learned = {} if centers is None else {"prototypes": centers, "metric": "euclidean"}
        return {**self.head.describe(), **learned}

    def prototype_kind(self) -> str:
        """What a prototype is: a `center` that a regularizer learned, the `mean` of a density, else a `weight`."""
        if self.centers() is not None:
            return "center"
        return "mean" if self.head.metric == "density" else "weight"

    def centers(self):
        """Centers (C, D) that a regularizer learned, NumPy; None without one."""
        learned = (regularizer.prototypes() for regularizer in self.regularizers)
        return next((centers.asnumpy() for centers in learned if centers is not None), None)
