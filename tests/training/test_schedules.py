"""Schedules against closed forms, and what makes them resumable: no state."""

import math

import numpy as np
import pytest

from lossbench.training import schedules


def schedule(name, **keys):
    return {"name": name, **keys}


def rates(section, base=0.1, steps_per_epoch=10, epochs=4):
    factor = schedules.learning_rate_factor(base, steps_per_epoch, epochs, **section)
    return [base * factor(step) for step in range(steps_per_epoch * epochs)]


def test_constant():
    assert rates(schedule("constant")) == [0.1] * 40


def test_step_falls_at_the_named_epochs():
    values = rates(schedule("step", epochs=[1, 3], factor=0.5))
    assert values == [0.1] * 10 + [0.05] * 20 + [0.025] * 10


def test_the_gluon_seeds_recipe():
    """0.01 for 10 epochs, then 0.1, halved at 100, 150, ... 350 of 400."""
    section = schedule(
        "step",
        epochs=[100, 150, 200, 250, 300, 350],
        factor=0.5,
        warmup_epochs=10,
        warmup="constant",
        warmup_learning_rate=0.01,
    )
    values = rates(section, steps_per_epoch=1, epochs=400)
    expected = [0.01] * 10 + [0.1] * 90 + [0.1 * 0.5 ** (1 + k // 50) for k in range(300)]
    assert values == pytest.approx(expected)


def test_cosine_is_half_a_cosine_down_to_the_final_fraction():
    values = rates(schedule("cosine", final_fraction=0.1))
    expected = [0.1 * (0.1 + 0.9 * (1 + math.cos(math.pi * step / 40)) / 2) for step in range(40)]
    assert values == pytest.approx(expected)


def test_cosine_counts_from_the_end_of_the_warmup():
    values = rates(schedule("cosine", final_fraction=0, warmup_epochs=1, warmup_learning_rate=0.02))
    assert values[:10] == pytest.approx([0.02 + 0.08 * step / 10 for step in range(10)])
    assert values[10] == pytest.approx(0.1)
    assert values[25] == pytest.approx(0.05)


def test_one_cycle_rises_to_its_peak_and_falls_to_nothing():
    section = schedule("one_cycle", peak_fraction=0.25, start_fraction=0.04, final_fraction=0)
    values = rates(section)
    assert values[0] == pytest.approx(0.004)
    assert values[:11] == sorted(values[:11])
    assert values[10] == pytest.approx(0.1)
    assert max(values) == values[10]
    assert values[10:] == sorted(values[10:], reverse=True)
    assert schedules.learning_rate_factor(0.1, 10, 4, **section)(40) == pytest.approx(0)


def test_linear_value():
    value = schedules.annealed(10, kind="linear", start=0.03, end=0.3, epochs=2.5)
    assert [value(step) for step in (0, 5, 25, 1000)] == pytest.approx([0.03, 0.084, 0.3, 0.3])


def test_doubling_value_stops_at_its_cap():
    """The CVPR code's margin: doubled from 0.1 every 5000 steps up to 0.3."""
    value = schedules.annealed(391, kind="doubling", start=0.1, cap=0.3, every_steps=5000)
    assert [value(step) for step in (0, 4999, 5000, 9999, 10000, 10**9)] == [0.1, 0.1, 0.2, 0.2, 0.3, 0.3]


def test_exponential_value():
    value = schedules.annealed(391, kind="exponential", start=100, factor=0.99, floor=5)
    assert value(100) == pytest.approx(100 * 0.99**100)
    assert value(10_000) == 5


def test_inverse_power_value_is_caffes():
    """Values of the L-Softmax MNIST settings at 2500, 5000, 10000 steps, as its authors list them."""
    value = schedules.annealed(391, kind="inverse_power", base=1000, gamma=2.5e-5, power=35, floor=0)
    assert value(0) == 1000
    assert value(2500) == pytest.approx(120, rel=0.01)
    assert value(5000) == pytest.approx(16, rel=0.02)
    assert value(10000) == pytest.approx(0.41, rel=0.02)


POINTS = [[0, 16.0], [1.5, 4.0], [3, 6.0]]


def test_piecewise_values_are_held_until_the_next():
    value = schedules.annealed(10, kind="piecewise", points=POINTS)
    assert [value(step) for step in (0, 14, 15, 29, 30, 10**6)] == [16, 16, 4, 4, 6, 6]


def test_piecewise_values_move_on_straight_lines():
    value = schedules.annealed(10, kind="piecewise", points=POINTS, between="linear")
    expected = np.interp(np.arange(60) / 10, *zip(*POINTS))
    assert [value(step) for step in range(60)] == pytest.approx(list(expected))
    assert value(15) == 4
    assert value(30) == value(1000) == 6


def test_points_that_fall_on_one_step_give_the_last_ones_value():
    for between in ("hold", "linear"):
        value = schedules.annealed(1, kind="piecewise", points=[[0, 1.0], [0.7, 2.0], [1.2, 3.0]], between=between)
        assert [value(0), value(1), value(2)] == [1, 3, 3]


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "linear", "start": 0.0, "end": 1.0, "steps": 7},
        {"kind": "doubling", "start": 0.1, "cap": 0.3, "every_steps": 3},
        {"kind": "exponential", "start": 2.0, "factor": 0.9},
        {"kind": "inverse_power", "base": 2.0, "gamma": 0.1, "power": 2.0},
        {"kind": "piecewise", "points": POINTS, "between": "linear"},
    ],
    ids=lambda options: options["kind"],
)
def test_a_value_depends_on_the_step_alone(options):
    forwards, backwards = schedules.annealed(5, **options), schedules.annealed(5, **options)
    there = [forwards(step) for step in range(20)]
    assert [backwards(step) for step in reversed(range(20))] == there[::-1]
