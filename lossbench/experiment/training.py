"""One training in a run folder: the trainer, its schedules, and what is written when."""

from __future__ import annotations

import pathlib
import shlex
import sys

import numpy as np

from lossbench import atomic, checkpoint, data, plugins
from lossbench.errors import RunFailed, UserError
from lossbench.evaluation import METHODS, at_the_end
from lossbench.experiment import distributed
from lossbench.experiment.picture_source import DrawnRun
from lossbench.experiment.subject import measure
from lossbench.plots import lettering, pictures
from lossbench.plots.contact_sheet import contact_sheet
from lossbench.runs import ending, shown
from lossbench.training import schedules
from lossbench.training.communication import ALONE
from lossbench.training.loop import Hooks, fit
from lossbench.training.optimizers import Optimizers
from lossbench.training.position import Position
from lossbench.training.ranges import Ranges
from lossbench.training.sampling import Sampling
from lossbench.training.step import Trainer

MAX_SAVED_EMBEDDINGS = 10_000
SHOWN_IMAGES = 63


def new_batches(settings, dataset, communicator=ALONE) -> data.Batches:
    """The training batches that a config asks for, of several ranks the part of this one."""
    section = settings.data
    return data.Batches(
        dataset.train,
        section.batch_size,
        seed=settings.seed,
        mean=dataset.mean,
        std=dataset.std,
        **section.augment.model_dump(),
        drop_last=section.drop_last,
        workers=section.workers,
        part=(communicator.rank, communicator.size),
    )


def new_trainer(settings, model, batches, communicator=ALONE) -> Trainer:
    """A trainer at step 0 with the groups and schedules that a config asks for; the model is one for training."""
    assert model.is_for_training, "the model would train in kernels that its config does not ask for"
    steps = batches.updates(settings.trainer.accumulate_steps)
    if settings.trainer.accumulate_steps > len(batches):
        raise UserError(
            f"trainer.accumulate_steps: must be at most the {len(batches)} batches of an epoch, "
            f"got {settings.trainer.accumulate_steps}. Take fewer, or a smaller data.batch_size."
        )
    ranges = None
    if model.has_ranges:
        ranges = Ranges(model.objective, model.dataset.num_classes, communicator, model.devices[0])
    rate = settings.optimizer.learning_rate
    return Trainer(
        model.objective,
        Optimizers(model.groups(), model.devices, model.sampled()),
        model.devices,
        rate_factor=schedules.learning_rate_factor(
            rate, steps, settings.trainer.epochs, **settings.schedule.model_dump()
        ),
        scheduled={path: schedules.annealed(steps, **course.model_dump()) for path, course in settings.anneal.items()},
        accumulate_steps=settings.trainer.accumulate_steps,
        seed=settings.seed,
        communicator=communicator,
        sampling=Sampling(model.head, model.window, settings.seed) if model.is_sampled else None,
        ranges=ranges,
    )


def _require_judged(section, dataset):
    """Early stopping needs validation images, and whether a folder of images brings some is known only now."""
    if section.early_stopping_epochs and not len(dataset.validation):
        raise UserError(
            "trainer.early_stopping_epochs must be null without validation images, got "
            f"{section.early_stopping_epochs}. Set data.validation_fraction above 0."
        )


class Training:
    """One call of `run` on rank 0: the trainer with its hooks into the run folder."""

    def __init__(self, run, settings, model, progress, scalars, communicator=ALONE):
        self.run, self.settings, self.model, self.progress, self.scalars = run, settings, model, progress, scalars
        self.communicator = communicator
        model.head.check_labels(model.dataset.train.labels)
        _require_judged(settings.trainer, model.dataset)
        self.position = Position()
        self.batches = new_batches(settings, model.dataset, communicator)
        self.trainer = new_trainer(settings, model, self.batches, communicator)
        self.optimizers = self.trainer.optimizers
        self.history = []

    @property
    def is_complete(self) -> bool:
        return self.position.epoch > self.settings.trainer.epochs or self.position.stopped_early

    def start_fresh(self):
        """Begin from the parameters that the model has."""
        calibrated = [r for r in self.model.regularizers if r.needs_calibration]
        if calibrated:
            images, _ = self.batches.whole(1, 0)
            embedding = self.model.training_embedding(images)
            for regularizer in calibrated:
                regularizer.calibrate(embedding)
        self._introduce()
        self._show_data()
        self.run.write_history([])
        self.scalars.begin([])

    def _introduce(self):
        count = sum(int(np.prod(p.shape)) for p in self.model.parameters().values())
        settings, dataset = self.settings, self.model.dataset
        epochs, most = settings.trainer.epochs, settings.trainer.max_steps
        length = f"{epochs} epoch{'s' if epochs > 1 else ''}{f', at most {most:,} steps' if most else ''}"
        self.progress.say(
            f"{settings.name}: {count:,} parameters; {len(dataset.train):,} training, {len(dataset.validation):,} "
            f"validation and {len(dataset.test):,} test images; {length}; {self.run.path}"
        )
        for note in [
            *dataset.notes,
            *data.inspect(dataset),
            *self.batches.notes(self.settings.trainer.accumulate_steps),
            *self.model.notes,
        ]:
            self.progress.say(note)

    def _show_data(self):
        """Write `data.png`: the mean training image, then images as the first step sees them."""
        dataset = self.model.dataset
        images, labels = self.batches.pictures(1, SHOWN_IMAGES)
        names = lettering.legible(dataset.class_names)
        texts = ["mean", *(names[label] for label in labels)]
        sheet = contact_sheet(np.concatenate([data.mean_image(dataset.train)[None], images]), texts)
        with atomic.writing(self.run.file("data.png")) as file:
            sheet.save(file, "PNG")

    def _advanced(self, position, fresh):
        """The bar; and how far the first loss is from that of a guess, where a mistake of scale shows."""
        self.progress.advanced(position, fresh)
        if self.trainer.step == 1:
            loss = self.trainer.read_sums(position.epoch, position.epoch_step)[0] / position.images
            classes = self.model.dataset.num_classes
            self.progress.say(
                f"loss of the first step {loss:.3f}; a guess among {classes:,} classes has {np.log(classes):.3f}"
            )

    def resume(self) -> bool:
        """Go on from the newest usable checkpoint; False where there is none, `UserError` where none is usable."""
        path, _, _, damage = checkpoint.newest(self.run.checkpoints, self._restore)
        for sentence in damage:
            self.progress.say(f"Passed over: {sentence}")
        if path is None and damage:
            raise UserError(
                f"run: {self.run.checkpoints} must hold a usable checkpoint to go on from, got none. {damage[0]} "
                "Nothing was changed. Train in another folder: --run-dir."
            )
        if path is not None:
            for sentence in self.run.read_all().problems:
                self.progress.say(sentence)
            self.progress.say(f"Resumed from {path}.{self._other_parts}")
        return path is not None

    def _restore(self, path, arrays, state):
        arrays = dict(arrays)
        optimizer = arrays.pop("optimizer", {})
        self.model.load(arrays, path)
        position = Position.from_dict(state.get("position"), f"checkpoint {path}")
        optimizer = distributed.own_states(self.trainer, optimizer)
        self.optimizers.load_state(optimizer, state.get("optimizer_counts"))
        self.position, self.trainer.step = position, state["step"]
        before, now = state.get("parts", self.trainer.parts), self.trainer.parts
        said = f" Its batches were computed in {before} parts, now in {now}: last bits differ from here on."
        self._other_parts = said if before != now else ""
        self.history = [row for row in self.run.history if row["epoch"] < self.position.epoch]
        self.run.write_history(self.history)
        self.scalars.begin(self.history)
        self.trainer.apply_schedules()

    def fit(self, interruption):
        self.position = distributed.share(self.communicator, self.trainer, self.position)
        hooks = Hooks(
            epoch_started=self.progress.epoch_started,
            advanced=self._advanced,
            epoch_ended=self._epoch_ended,
            validate=self._validated,
            checkpoint=self._checkpoint,
            interrupted=lambda: bool(self.communicator.stop(interruption.signal or 0)),
        )
        try:
            self.position = fit(
                self.trainer, self.batches, self.position, hooks=hooks, **distributed.fitting(self.settings.trainer)
            )
        except FloatingPointError as error:
            raise RunFailed(f"{error} {self._last_good()} {self._way_on()}") from error
        except (OSError, RunFailed) as error:
            raise RunFailed(f"{error} {self._last_good()}") from error
        finally:
            self.progress.close()

    def _last_good(self) -> str:
        path = checkpoint.newest(self.run.checkpoints)[0]
        return f"Last good checkpoint: {path}." if path else "There is no checkpoint yet."

    def _way_on(self) -> str:
        """A command that goes on with a tenth of the learning rate, as a run of its own."""
        path = checkpoint.newest(self.run.checkpoints)[0]
        script = sys.argv[0]
        command = [
            *(["python", script] if pathlib.Path(script).name == "train.py" else ["lossbench", "train"]),
            *("--config", str(self.run.config_file)),
            *(word for file in plugins.requested() for word in ("--plugin", shown(file))),
            *([f"init_from={path}"] if path else []),
            f"optimizer.learning_rate={self.settings.optimizer.learning_rate / 10:g}",
            *("--run-dir", f"{self.run.path}-lower-rate"),
        ]
        return f"Go on {'from there' if path else 'anew'} with a smaller learning rate: {shlex.join(command)}"

    def _validated(self, epoch) -> dict:
        distributed.collect(self.trainer)
        return self.communicator.broadcast(self._validate(epoch))

    def _validate(self, epoch) -> dict:
        self.trainer.require_finite_parameters(epoch)
        row = {}
        if len(self.model.dataset.validation):
            row["validation_accuracy"] = self._accuracy("validation", epoch)
        every = self.settings.evaluation.test_every_epochs
        if every and epoch % every == 0:
            row["test_accuracy"] = self._accuracy("test", epoch)
        description = self.model.description() if self.model.head.metric == "density" else {}
        if "log_variance" in description:
            row["log_variance_min"] = float(description["log_variance"].min())
            row["log_variance_max"] = float(description["log_variance"].max())
        return row

    def _accuracy(self, split, epoch) -> float:
        value = measure(self.model, [split], ["softmax"])[split]["accuracy"]
        if isinstance(value, dict):  # scores that overflow; the next loss would say so, after the checkpoint
            raise self.trainer.broken(f"the scores of {split} images", epoch)
        return value

    def _epoch_ended(self, row):
        self.history.append(row)
        self.run.write_history(self.history)
        self.scalars.row(row)
        self.progress.epoch_ended(row)
        every = self.settings.evaluation.embeddings_every_epochs
        if every and row["epoch"] % every == 0 and self.model.backbone.embedding_size <= 3:
            self._save_embeddings(row["epoch"])

    def _save_embeddings(self, epoch):
        arrays = {"prototypes": self.model.description()["prototypes"], "prototype_kind": self.model.prototype_kind()}
        for split in ("train", "test"):
            images = getattr(self.model.dataset, split)
            chosen = np.random.default_rng([self.settings.seed]).permutation(len(images))[:MAX_SAVED_EMBEDDINGS]
            outputs = self.model.outputs(images.take(np.sort(chosen)))
            arrays.update({f"{split}_embedding": outputs["embedding"], f"{split}_label": outputs["label"]})
        self.run.write_embeddings(epoch, arrays)

    def _checkpoint(self, position):
        distributed.collect(self.trainer)
        optimizer, counts = distributed.states(self.trainer)
        arrays = dict(self.model.arrays(), optimizer=optimizer)
        state = {"position": position.as_dict(), "optimizer_counts": counts, "parts": self.trainer.parts}
        checkpoint.save(self.run.checkpoints, self.trainer.step, arrays, state, self.run.texts())
        best = position.best["step"] if position.best else None
        checkpoint.prune(self.run.checkpoints, self.settings.trainer.keep_checkpoints, best, self.trainer.step)

    def plan(self) -> tuple[dict, list]:
        """What is measured at the end, by split, and which pictures are drawn: see `Run.write_plan`."""
        asked = at_the_end(self.settings.evaluation.methods, self._splits())
        measured = {split: [METHODS[name].key for name in methods] for split, methods in asked.items()}
        chosen = self.settings.evaluation.pictures
        if chosen is None:
            chosen = pictures.after_training(self.model.backbone.embedding_size)
        return measured, chosen if "test" in measured else ()

    def _splits(self):
        return [split for split in self.settings.evaluation.splits if len(getattr(self.model.dataset, split))]

    def evaluate(self):
        """Score the test set by the last parameters and by those that were best on validation images, and draw.

        What is there of the same step is left alone, so that an evaluation that was interrupted goes on. The last
        parameters are in place again at the end.
        """
        last, best = self.run.evaluation_of("last", self.position.epoch - 1, self.trainer.step), self.position.best
        try:
            self._draw(self._measure(last))
            if best is not None:
                self._measure_best(self.run.evaluation_of("best", best["epoch"], best["step"]), last)
        except OSError as error:
            raise RunFailed(f"{error} The training is complete; do what is missing with --resume.") from error
        self.scalars.metrics(self.run.metrics)

    def _measure_best(self, best, last):
        """Score the best parameters, unless they are the last, whose values are known; a damaged checkpoint is said."""
        wanted = ending.unmeasured(self.run, "best", best.step)
        if not wanted:
            return
        if best.step == last.step:
            best.take_over(last, wanted)
            return
        kept, path = self.model.arrays(), checkpoint.of_step(self.run.checkpoints, best.step)
        try:
            self.model.load(checkpoint.load(path)[0], path)
        except UserError as damage:  # no other checkpoint has these parameters
            self.progress.say(f"The best epoch, {best.epoch}, cannot be evaluated: {damage}")
            for split, keys in wanted.items():
                best.values(split, {key: {"unavailable": str(damage)} for key in keys})
        else:
            self._measure(best)
        self.model.load(kept, "last")

    def _draw(self, outputs):
        """Draw what is missing; a picture that this run cannot give, or the disk, does not lose the others."""
        step, failed = self.trainer.step, None
        kinds = dict(ending.drawn(self.run, step))
        drawn = DrawnRun(self.run, model=self.model, outputs=outputs)
        for kind in ending.undrawn(self.run, step):
            try:
                kinds[kind] = [path.name for path in pictures.write(drawn, kind, self.run.plots)]
            except ValueError as reason:
                self.progress.say(f"The picture {kind} could not be drawn: {reason}")
                kinds[kind] = {"unavailable": str(reason)}
            except OSError as error:
                failed = error
                continue
            self.run.write_drawn(step, kinds)
        if failed is not None:
            raise failed

    def _measure(self, record) -> dict:
        """Write the values that a checkpoint lacks, and return what the network gave for them, by split."""
        outputs = {}
        for split, keys in ending.unmeasured(self.run, record.checkpoint, record.step).items():
            methods = [name for name in self.settings.evaluation.methods if METHODS[name].key in keys]
            measure(self.model, [split], methods, record=record, outputs=outputs, show=self.progress.shows_bars)
        return outputs
