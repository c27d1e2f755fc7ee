"""Groups: who gets which parameter, what each update does, and that the state goes out and in as plain arrays."""

import numpy as np
import pytest

from lossbench._mxnet import mx
from lossbench.training import optimizers


def section(name="sgd", learning_rate=0.1, momentum=0.0, weight_decay=0.0, clip_global_norm=None, groups=(), **more):
    return {
        "name": name,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "weight_decay": weight_decay,
        "clip_global_norm": clip_global_norm,
        "groups": groups,
        **more,
    }


def parameters(*names, contexts=None, shape=(3,)):
    made = {}
    for name in names:
        made[name] = mx.gluon.Parameter(name, shape=shape, init="ones")
        made[name].initialize(ctx=contexts or [mx.cpu()])
    return made


def give_gradient(parameter, value):
    for data, gradient in zip(parameter.list_data(), parameter.list_grad()):
        gradient[:] = value
        data._fresh_grad = True


def test_the_first_matching_group_takes_a_parameter_and_the_rest_is_the_default():
    named = parameters("backbone.conv.weight", "head.mean", "head.raw_log_variance")
    groups = optimizers.split(
        named,
        **section(groups=[{"name": "variance", "pattern": "variance$", "lr_mult": 0.01}]),
        declared=[{"name": "head", "pattern": "^head"}],
    )
    assert {g.name: list(g.parameters) for g in groups} == {
        "default": ["backbone.conv.weight"],
        "variance": ["head.raw_log_variance"],
        "head": ["head.mean"],
    }
    assert [g.learning_rate for g in groups] == pytest.approx([0.1, 0.001, 0.1])


def test_frozen_parameters_are_in_no_group():
    named = parameters("a", "b")
    named["a"].grad_req = "null"
    (group,) = optimizers.split(named, **section())
    assert list(group.parameters) == ["b"]


def test_a_pattern_that_matches_nothing_is_a_mistake():
    with pytest.raises(
        ValueError, match=r"optimizer: group slow: pattern must match .* got 'centres'.* Names are: a, b"
    ):
        optimizers.split(parameters("a", "b"), **section(groups=[{"name": "slow", "pattern": "centres"}]))


def test_a_declared_group_may_match_nothing():
    assert len(optimizers.split(parameters("a"), **section(), declared=[{"name": "c", "pattern": "centers"}])) == 1


def test_groups_have_their_own_optimizer_rate_decay_and_schedule():
    named = parameters("head.weight", "regularizers.center.centers")
    groups = optimizers.split(
        named,
        **section("nag", momentum=0.9, weight_decay=0.1),
        declared=[
            {
                "name": "centers",
                "pattern": "centers$",
                "optimizer": "sgd",
                "learning_rate": 0.5,
                "momentum": 0.0,
                "weight_decay": 0.0,
                "schedule": False,
                "clip_global_norm": 0,
            }
        ],
    )
    made = optimizers.Optimizers(groups, [mx.cpu()])
    for parameter in named.values():
        give_gradient(parameter, 4.0)
    made.update(4, factor=0.1)
    # NAG, first step: momentum = g + wd w; w -= lr (g + wd w + 0.9 momentum)
    expected = 1 - 0.01 * (1.1 + 0.9 * 1.1)
    np.testing.assert_allclose(named["head.weight"].data().asnumpy(), expected, rtol=1e-6)
    np.testing.assert_allclose(named["regularizers.center.centers"].data().asnumpy(), 0.5, rtol=1e-6)


def test_multipliers_of_a_parameter_multiply_those_of_its_group():
    named = parameters("head.mean")
    named["head.mean"].lr_mult = 2.0
    groups = optimizers.split(named, **section(groups=[{"name": "mean", "pattern": "mean", "lr_mult": 3.0}]))
    made = optimizers.Optimizers(groups, [mx.cpu()])
    give_gradient(named["head.mean"], 1.0)
    made.update(1, factor=1.0)
    np.testing.assert_allclose(named["head.mean"].data().asnumpy(), 1 - 0.1 * 2 * 3, rtol=1e-6)


@pytest.mark.parametrize(("limit", "scale"), [(1.0, 0.2), (100.0, 1.0)])
def test_clipping_is_by_the_norm_of_the_mean_gradient_of_the_group_alone(limit, scale):
    named = parameters("a", "b", "c", shape=(1,))
    groups = optimizers.split(
        named, **section(learning_rate=1.0, clip_global_norm=limit, groups=[{"name": "own", "pattern": "c"}])
    )
    made = optimizers.Optimizers(groups, [mx.cpu()])
    for parameter, gradient in zip(named.values(), (30.0, 40.0, 5.0)):
        give_gradient(parameter, gradient)
    made.update(10, factor=1.0)  # means 3, 4: norm 5; and 0.5 in the other group
    moved = [1 - parameter.data().asscalar() for parameter in named.values()]
    assert moved == pytest.approx([3 * scale, 4 * scale, 0.5], rel=1e-5)


def test_gradients_are_summed_over_devices():
    contexts = [mx.cpu(0), mx.cpu(1)]
    named = parameters("a", contexts=contexts)
    made = optimizers.Optimizers(optimizers.split(named, **section(learning_rate=1.0)), contexts)
    for value, (data, gradient) in enumerate(zip(named["a"].list_data(), named["a"].list_grad()), start=1):
        gradient[:] = value
        data._fresh_grad = True
    made.update(10, factor=1.0)
    for context in contexts:
        np.testing.assert_allclose(named["a"].data(context).asnumpy(), 1 - 3 / 10, rtol=1e-6)


@pytest.mark.parametrize("contexts", [[mx.cpu()], [mx.cpu(0), mx.cpu(1)]], ids=["one", "two"])
@pytest.mark.parametrize("name", ["sgd", "nag", "adam", "adamw"])
def test_state_goes_out_and_in(name, contexts, rng):
    more = {"beta1": 0.9, "beta2": 0.99, "epsilon": 1e-8} if name.startswith("adam") else {"momentum": 0.9}
    chosen = section(name, **more)
    gradients = rng.normal(size=6)

    def updates(named, made, values):
        for value in values:
            for parameter in named.values():
                give_gradient(parameter, value)
            made.update(1, factor=0.5)

    def fresh():
        named = parameters("a", "b", contexts=contexts)
        return named, optimizers.Optimizers(optimizers.split(named, **chosen), contexts)

    undisturbed, made = fresh()
    updates(undisturbed, made, gradients)

    first, made = fresh()
    updates(first, made, gradients[:3])
    arrays, counts = made.state()
    arrays = {key: array.copy() for key, array in arrays.items()}
    second, made = fresh()
    for key, parameter in second.items():
        parameter.set_data(first[key].data(contexts[0]))
    made.load_state(arrays, counts)
    updates(second, made, gradients[3:])
    for context in contexts:
        for key in undisturbed:
            np.testing.assert_array_equal(second[key].data(context).asnumpy(), undisturbed[key].data(context).asnumpy())


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_its_formula(decay, rng):
    """Against a second implementation in NumPy and float64, with a schedule, a group's multipliers and batches of 4."""
    named = parameters("a")
    named["a"].wd_mult = 0.5
    chosen = section("adamw", learning_rate=0.01, weight_decay=decay, beta1=0.8, beta2=0.95, epsilon=1e-3)
    del chosen["momentum"]
    made = optimizers.Optimizers(optimizers.split(named, **chosen), [mx.cpu()])
    weight, first, second = np.ones(3), np.zeros(3), np.zeros(3)
    for count in range(1, 21):
        gradient, factor = rng.normal(size=3), 1 / count
        give_gradient(named["a"], mx.nd.array(4 * gradient))
        made.update(4, factor=factor)
        first, second = 0.8 * first + 0.2 * gradient, 0.95 * second + 0.05 * gradient**2
        step = first / (1 - 0.8**count) / (np.sqrt(second / (1 - 0.95**count)) + 1e-3)
        weight = weight - 0.01 * factor * (decay * 0.5 * weight + step)
        np.testing.assert_allclose(named["a"].data().asnumpy(), weight, rtol=2e-6)


def test_a_state_of_other_groups_is_refused():
    made = optimizers.Optimizers(optimizers.split(parameters("a"), **section(momentum=0.9)), [mx.cpu()])
    with pytest.raises(ValueError, match="optimizer: state must belong to the groups default, got other/b"):
        made.load_state({"other/b/0": mx.nd.ones(3)}, {"other": {"b": 1}})
    with pytest.raises(ValueError, match=r"state of a must have the shape \(3,\) of group default, got none"):
        made.load_state({}, {"default": {"a": 1}})
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        made.load_state({"default/a/0": mx.nd.ones(4)}, {"default": {"a": 1}})


def test_a_group_says_what_it_is():
    named = parameters("head.mean")
    named["head.mean"].wd_mult = 0.0
    (group,) = optimizers.split(named, **section("nag", momentum=0.9, weight_decay=5e-4, clip_global_norm=5))
    assert group.describe() == [
        "default: nag, learning_rate 0.1 (scheduled), weight_decay 0.0005, momentum 0.9, clipped to 5",
        "  head.mean (lr_mult 1, wd_mult 0)",
    ]
