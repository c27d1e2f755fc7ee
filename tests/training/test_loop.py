"""The loop: which epoch is the best, when patience ends, and the last step that was asked for."""

import pytest

from lossbench.training.loop import Hooks, fit
from lossbench.training.position import Position


class Steps:
    """Counts updates in place of a trainer: the loop asks for no more."""

    accumulate_steps, scheduled = 1, {}

    def __init__(self, step=0):
        self.step = step

    def reset_sums(self, loss, right):
        pass

    def read_sums(self, epoch, epoch_step):
        return 1.0, 1.0

    def update(self, chunk, epoch, epoch_step):
        self.step += 1
        return len(chunk)

    def learning_rate(self, step):
        return 0.1

    def scheduled_values(self, step):
        return {}


class Batches(list):
    def updates(self, each):
        return -(-len(self) // each)

    def epoch(self, epoch, start):
        yield from self[start:]


def run(accuracies, position=None, trainer=None, **options):
    saved, rows = [], []
    hooks = Hooks(
        validate=lambda epoch: {"validation_accuracy": accuracies[epoch - 1]},
        checkpoint=lambda position: saved.append(position.epoch - 1),
        epoch_ended=rows.append,
    )
    trainer = trainer or Steps()
    options = {"epochs": len(accuracies), "checkpoint_every_epochs": 100, **options}
    end = fit(trainer, Batches([0, 1, 2]), position or Position(), hooks=hooks, **options)
    return end, rows, saved, trainer


def test_of_equal_epochs_the_later_is_the_best():
    end, _, saved, _ = run([0.5, 0.9, 0.9, 0.8, 0.9, 0.7])
    assert end.best == {"epoch": 5, "step": 15, "accuracy": 0.9}
    assert saved == [1, 2, 3, 5, 6]


@pytest.mark.parametrize(("patience", "last"), [(1, 3), (2, 4), (3, 5), (4, 6)])
def test_equal_epochs_are_not_better_ones(patience, last):
    end, rows, _, _ = run([0.5, 0.9, 0.9, 0.9, 0.9, 0.9], patience=patience)
    assert rows[-1]["epoch"] == last
    assert end.stopped_early == (last < 6 or patience == 4)


def test_a_checkpoint_of_an_earlier_version_goes_on():
    old = {"epoch": 4, "best": {"epoch": 2, "step": 6, "accuracy": 0.9}}
    end, rows, _, _ = run([0, 0, 0, 0.9, 0.9, 0.9], Position.from_dict(old, "x"), Steps(9), patience=3)
    assert [row["epoch"] for row in rows] == [4, 5]
    assert (end.best["epoch"], end.better_epoch) == (5, 2)


@pytest.mark.parametrize(
    ("max_steps", "epochs", "last_steps"), [(1, 1, 1), (3, 1, 3), (4, 2, 1), (9, 3, 3), (99, 4, 3)]
)
def test_the_last_step_that_was_asked_for(max_steps, epochs, last_steps):
    end, rows, saved, trainer = run([0.5] * 4, max_steps=max_steps)
    assert trainer.step == min(max_steps, 12)
    assert len(rows) == epochs
    assert rows[-1]["step"] - (epochs - 1) * 3 == last_steps
    assert end.stopped_early == (max_steps < 99)
    assert saved[-1] == epochs


@pytest.mark.parametrize(
    ("max_steps", "started"),
    [(None, [(3, 9), (3, 6), (3, 3)]), (5, [(3, 5), (2, 2)]), (100, [(3, 9), (3, 6), (3, 3)])],
)
def test_the_steps_to_come_are_those_that_will_be_made(max_steps, started):
    said = []
    hooks = Hooks(epoch_started=lambda position, steps, to_come: said.append((steps, to_come)))
    fit(Steps(), Batches([0, 1, 2]), Position(), hooks=hooks, epochs=3, checkpoint_every_epochs=1, max_steps=max_steps)
    assert said == started
