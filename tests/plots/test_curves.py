import numpy as np
import pytest

from lossbench import plots

LOSS = "training loss per image"


def rows(count):
    for epoch in range(1, count + 1):
        row = {"epoch": epoch, "step": 10 * epoch, "loss": 2.0 / epoch, "accuracy": 0.5, "learning_rate": 0.1**epoch}
        row.update({"images_per_second": 500.0, "head.likelihood_weight": 0.01 * epoch})
        if epoch % 2 == 0:
            row["test_accuracy"] = 0.6
        yield row


def test_panels_hold_the_rows():
    figure = plots.training_curves(rows(6), title="run a, seed 0")
    panels = {axes.get_ylabel(): axes for axes in figure.axes}
    assert list(panels) == [LOSS, "accuracy (%)", "learning rate", "head likelihood weight"]
    assert figure.get_suptitle() == "run a, seed 0"
    assert all(axes.get_xlabel() == "epoch" for axes in figure.axes)
    (loss,) = panels[LOSS].lines
    np.testing.assert_allclose(loss.get_xydata(), [(e, 2 / e) for e in range(1, 7)])
    train, test = panels["accuracy (%)"].lines
    assert (train.get_label(), test.get_label()) == ("train", "test")
    np.testing.assert_allclose(train.get_ydata(), 50)
    np.testing.assert_allclose(test.get_xydata(), [(2, 60), (4, 60), (6, 60)])
    assert panels["learning rate"].get_yscale() == "log"
    assert panels[LOSS].get_yscale() == "linear"


def test_one_epoch_and_few_keys():
    figure = plots.training_curves([{"epoch": 1, "loss": 1.5}], title="t")
    assert [axes.get_ylabel() for axes in figure.axes] == [LOSS]
    assert figure.axes[0].get_xticks().tolist() == [1]
    figure = plots.training_curves([{"epoch": 1, "loss": 0.0, "learning_rate": 0.0, "log_variance_min": -1.0,
                                     "log_variance_max": 0.5, "accuracy": 0.0}], title="t")  # fmt: skip
    assert [axes.get_ylabel() for axes in figure.axes][-1] == "log variance"
    figure.draw_without_rendering()


def test_a_zero_or_a_last_step_to_nearly_zero_keeps_the_axis_linear():
    rows = [{"epoch": 1, "loss": 9.0}, {"epoch": 2, "loss": 0.0}]
    assert plots.training_curves(rows, title="t").axes[0].get_yscale() == "linear"
    rows = [{"epoch": n, "learning_rate": 0.1 * n if n < 12 else 1e-9} for n in range(1, 13)]
    assert plots.training_curves(rows, title="t").axes[0].get_yscale() == "linear"


def test_a_scheduled_value_has_its_unit():
    rows = [{"epoch": 1, "head.margin": 0.1, "head.scale": 9.0}]
    figure = plots.training_curves(rows, title="t", units={"head.margin": "radians"})
    assert [axes.get_ylabel() for axes in figure.axes] == ["head margin (radians)", "head scale"]


def test_a_loss_that_is_not_finite_is_drawn_around():
    figure = plots.training_curves([{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": float("nan")}], title="t")
    figure.draw_without_rendering()


def test_no_rows():
    with pytest.raises(ValueError, match="training_curves: `rows` must have at least one epoch, got none"):
        plots.training_curves([], title="t")
