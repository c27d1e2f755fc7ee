"""The training loop: epochs of steps, from any position. Takes built objects; knows no file and no config."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CHECK_EVERY = 50


@dataclass
class Hooks:
    """What the loop calls; everything that touches files, validation or the screen is behind these.

    `epoch_started(position, steps, to_come)` gets the steps of the epoch, and those of the training from its start on,
    `advanced(position)` comes after every update (sums are fresh when it is read), `epoch_ended(row)`,
    `validate(epoch) -> dict` of further entries of the row, `checkpoint(position)` writes, and `interrupted() -> bool`
    asks the loop to save and stop.
    """

    epoch_started: Callable = field(default=lambda position, steps, to_come: None)
    advanced: Callable = field(default=lambda position, fresh: None)
    epoch_ended: Callable = field(default=lambda row: None)
    validate: Callable = field(default=lambda epoch: {})
    checkpoint: Callable = field(default=lambda position: None)
    interrupted: Callable = field(default=lambda: False)


def fit(
    trainer,
    batches,
    position,
    *,
    epochs,
    hooks,
    checkpoint_every_epochs=1,
    checkpoint_every_steps=None,
    patience=None,
    max_steps=None,
):
    """Train to the end of epoch `epochs`, to an early stop or to an interruption.

    Parameters
    ----------
    trainer : Trainer
    batches : data.Batches
        `epoch(number, start)` yields (images, labels); `len()` is the number of batches in an epoch, `updates(each)`
        that of updates with so many batches.
    position : Position
        Where to start.
    epochs : int
    hooks : Hooks
    checkpoint_every_epochs : int, default 1
        The last epoch and one that is the best so far are always saved.
    checkpoint_every_steps : int, optional
        Also save within an epoch.
    patience : int, optional
        Stop after this many epochs without a better validation accuracy.
    max_steps : int, optional
        Stop after this many updates in all; the epoch ends with the last of them.

    Returns
    -------
    Position
        After the last finished step. Its epoch is `epochs + 1` when the training is complete.
    """
    while position.epoch <= epochs and not position.stopped_early:
        position, finished = _epoch(trainer, batches, position, hooks, epochs, checkpoint_every_steps, max_steps)
        if not finished:
            hooks.checkpoint(position)
            return position
        row = _row(trainer, position)
        row.update(hooks.validate(position.epoch))
        is_best = position.judge(row.get("validation_accuracy"), trainer.step, patience, max_steps)
        hooks.epoch_ended(row)
        position = position.next_epoch()
        done = position.epoch > epochs or position.stopped_early
        stop = hooks.interrupted() and not done
        if is_best or done or stop or (position.epoch - 1) % checkpoint_every_epochs == 0:
            hooks.checkpoint(position)
        if stop:
            return position
    return position


def _epoch(trainer, batches, position, hooks, epochs, checkpoint_every_steps, max_steps):
    """Run what is left of the position's epoch; returns the new position and whether the epoch is finished."""
    steps = batches.updates(trainer.accumulate_steps)
    to_come = (epochs - position.epoch + 1) * steps
    if max_steps is not None:
        to_come = min(to_come, max_steps - (trainer.step - position.epoch_step))
    steps = min(steps, to_come)
    began = time.perf_counter() - position.seconds
    trainer.reset_sums(position.loss_sum, position.right)
    hooks.epoch_started(position, steps, to_come)

    def read():
        position.loss_sum, position.right = trainer.read_sums(position.epoch, position.epoch_step)
        position.seconds = time.perf_counter() - began

    stream = batches.epoch(position.epoch, start=min(position.epoch_step * trainer.accumulate_steps, len(batches)))
    try:
        while position.epoch_step < steps:
            chunk = list(itertools.islice(stream, trainer.accumulate_steps))
            position.images += trainer.update(chunk, position.epoch, position.epoch_step)
            position.epoch_step += 1
            fresh = position.epoch_step % CHECK_EVERY == 0 or position.epoch_step == steps
            if fresh:
                read()
            hooks.advanced(position, fresh)
            if position.epoch_step == steps:
                break
            if hooks.interrupted():
                read()
                return position, False
            if checkpoint_every_steps and position.epoch_step % checkpoint_every_steps == 0:
                read()
                hooks.checkpoint(position)
    finally:
        stream.close()
    return position, True


def _row(trainer, position) -> dict:
    """One row of the history. The learning rate and scheduled values are those of the epoch's last step."""
    return {
        "epoch": position.epoch,
        "step": trainer.step,
        "loss": position.loss_sum / position.images,
        "accuracy": position.right / position.images,
        "learning_rate": trainer.learning_rate(trainer.step - 1),
        "images_per_second": position.images / position.seconds,
        "seconds": position.seconds,
        **trainer.scheduled_values(trainer.step - 1),
    }
