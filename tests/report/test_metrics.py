"""Metrics as tables: what becomes a column, how it is written, which row is the best."""

import json
import math
import re
import statistics
from types import SimpleNamespace

import pytest

from lossbench.cli import metrics_table
from lossbench.evaluation import METHODS
from lossbench.report import metrics, tables


def table(*groups):
    """The tables of groups, each a list of the test metrics of its runs."""
    return metrics.tables([[{"last": {"epoch": 1, "test": run}} for run in group] for group in groups], "last", "test")


def column(*groups):
    (found,) = table(*groups)
    (only,) = found.columns
    return only


def nested(path, value):
    return {path[0]: nested(path[1:], value)} if path else value


def test_mean_and_sample_standard_deviation_over_seeds():
    values = [0.9, 0.93, 0.99]
    cell = column([{"accuracy": value} for value in values]).cells[0]
    assert cell.n == 3
    assert cell.mean == pytest.approx(sum(values) / 3)
    assert cell.deviation == pytest.approx(statistics.stdev(values))
    assert cell.deviation == pytest.approx(math.sqrt(sum((v - sum(values) / 3) ** 2 for v in values) / 2))


def test_one_seed_has_no_deviation():
    assert column([{"accuracy": 0.9}]).cells[0].deviation is None


def test_seeds_without_the_value_do_not_count_and_their_reasons_stay():
    cell = column([{"accuracy": 0.5}, {"accuracy": {"unavailable": "no images"}}, {}]).cells[0]
    assert (cell.mean, cell.n, cell.reasons) == (0.5, 1, ("no images", ""))


def test_nested_metrics_become_families_and_lists_are_left_out():
    nested = {
        "accuracy": 0.9,
        "accuracy_knn": 0.8,
        "accuracy_per_class": [0.9, 0.8],
        "verification": {
            "tar_at_far_1e-3": 0.7,
            "tar_at_far_1e-6": {"unavailable": "too few"},
            "rule": "above the threshold",
        },
        "retrieval": {"r_precision": 0.6, "map_at_r": 0.5},
        "per_class": {"norm": [1, 2, None]},
    }
    found = {each.title: each for each in table([nested])}
    assert list(found) == ["Accuracy", "Verification", "Retrieval"]
    assert [c.title for c in found["Accuracy"].columns] == ["logits", "k-NN"]
    assert [c.title for c in found["Verification"].columns] == ["TAR at FAR 1e-3", "TAR at FAR 1e-6"]
    assert [c.title for c in found["Retrieval"].columns] == ["R-precision", "MAP@R"]
    assert found["Verification"].remarks == ("above the threshold",)
    assert found["Verification"].columns[1].cells[0].reasons == ("too few",)


def test_a_family_of_many_metrics_is_split_by_its_next_key():
    family = {outer: {f"auroc_{k}": 0.5 for k in range(7)} for outer in ("fashion_mnist", "cifar10")}
    assert [each.title for each in table([{"detection": family}])] == ["Detection, fashion mnist", "Detection, cifar10"]


def test_counts_that_all_share_are_said_once():
    (found,) = table([{"retrieval": {"queries": 10_000, "map_at_r": 0.5}}, {"retrieval": {"queries": 10_000}}])
    assert found.counts == ("queries 10,000",)
    (found,) = table([{"retrieval": {"queries": 10}}], [{"retrieval": {"queries": 20}}])
    assert found.counts == ()
    assert found.columns[0].written(20) == "20"


@pytest.mark.parametrize(
    ("path", "values", "written", "best"),
    [
        ("accuracy", (0.991, 0.9921), ("99.10", "99.21"), {1}),
        ("verification.equal_error_rate", (0.02, 0.03), ("2.00", "3.00"), {0}),
        ("calibration.softmax.expected_calibration_error", (0.02, 0.03), ("2.00", "3.00"), {0}),
        ("detection.mnist.softmax.false_positive_rate_at_95_tpr", (0.2, 0.3), ("20.00", "30.00"), {0}),
        ("detection.mnist.softmax.area_under_roc", (0.2, 0.3), ("20.00", "30.00"), {1}),
        ("accuracy", (0.99211, 0.99212), ("99.21", "99.21"), set()),  # alike as they are shown
        ("verification.accuracy_std", (0.01, 0.02), ("1.00", "2.00"), set()),
        ("geometry.intra_class_distance", (0.5, 12.25), ("0.50", "12.25"), set()),
        ("geometry.norm.mean", (1234.5, 2.0), ("1,234", "2"), set()),
        ("verification.same_pairs", (3000, 6000), ("3,000", "6,000"), set()),
    ],
)
def test_how_a_metric_is_written_and_which_is_the_best(path, values, written, best):
    found = column(*([nested(path.split("."), value)] for value in values))
    assert tuple(found.written(cell.mean) for cell in found.cells) == written
    assert found.best(["mnist", "mnist"]) == best


def test_the_best_is_sought_among_runs_on_the_same_data():
    found = column(*([{"accuracy": value}] for value in (0.99, 0.9, 0.98, 0.8, 0.7)))
    assert found.best(["mnist", "cifar10", "mnist", "cifar10", "digits"]) == {0, 1}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_a_reason(value):
    read = json.loads(json.dumps({"accuracy": value}))
    assert metrics.flatten(read)[("accuracy",)].reason.startswith("The value is not finite")


@pytest.mark.parametrize("value", [None, True, "text", [], [1], {}, {"a": None}, {"unavailable": ""}, {"a": {"b": []}}])
def test_odd_values_break_nothing(value):
    table([{"accuracy": 0.5, "odd": value}], [{"odd": 0.1}], [{"odd": {"a": 0.1}}])


def test_parts_come_in_their_order():
    found = metrics.parts([
        {"best": {"epoch": 1, "test": {"a": 1}}, "last": {"epoch": 1, "validation": {"a": 1}, "test": {"a": 1}}},
        {"step-00000010": {"test": {"a": 1}}, "last": {"train": {"a": 1}, "empty": {}}},
    ])  # fmt: skip
    assert found == [
        ("last", "test"), ("last", "validation"), ("last", "train"), ("best", "test"), ("step-00000010", "test"),
    ]  # fmt: skip


def test_remarks_alone_have_no_table():
    many = {f"tar_at_far_{number}": 0.9 for number in range(12)}
    verification = {"pairs": "of unknown classes", "same_pairs": 3000, "cosine": many, "euclidean": many}
    found = table([{"verification": verification}])
    drawn = [str(tables.metric_table(each, [], each.title)) for each in found]
    assert ["<th" in text for text in drawn] == [False, True, True]
    assert "of unknown classes" in drawn[0]


def test_headings_of_attacks_are_short():
    """Under one attack, each score of all images and of the successful attacks: in tables of their own."""
    told_apart = {"area_under_roc": 0.5, "false_positive_rate_at_95_tpr": 0.25, "known": 40, "foreign": 40}
    scores = dict.fromkeys(("log_density", "softmax", "class_means", "centers"), told_apart)
    one = {"accuracy": 0.5, "success_rate": 0.1, "all": scores, "successful": scores}
    found = table([{"adversarial": {"accuracy_clean": 0.9, "epsilon 0.1": one, "epsilon 2/255": one}}])
    columns = {each.title: [column.title for column in each.columns] for each in found}
    of_one = "Adversarial, epsilon 0.1"
    assert list(columns)[:4] == ["Adversarial", of_one, f"{of_one}, all", f"{of_one}, successful"]
    assert columns["Adversarial, epsilon 2/255"] == ["accuracy", "success rate"]
    assert columns["Adversarial, epsilon 2/255, all"][:2] == ["log density, ROC area", "log density, FPR95"]
    attacked = found[2]
    assert attacked.counts == ("known 40", "foreign 40")
    groups = [SimpleNamespace(label="one", kind=0, data="mnist", runs=[1], seeds=[0])]
    drawn = str(tables.metric_table(attacked, groups, "a"))
    above, below = re.findall(r"<tr>(.*?)</tr>", drawn)[:2]
    assert re.findall(r'colspan="2">([^<]+)<', above) == ["log density", "softmax", "class means", "centers"]
    assert below.count("FPR95") == 4
    assert "density" not in below
    assert max(len(title.split()) for titles in columns.values() for title in titles) <= 4


def test_a_group_of_which_a_table_knows_nothing_has_no_row_in_it():
    groups = [
        SimpleNamespace(label=name, kind=0, data="mnist", runs=[1], seeds=[0]) for name in ("one", "two", "three")
    ]
    retrieval = [{"map_at_r": 0.5}, None, {"map_at_r": {"unavailable": "no images"}}]
    (found,) = table(*([{"retrieval": one} if one else {}] for one in retrieval))
    drawn = str(tables.metric_table(found, groups, "r"))
    assert [name in drawn for name in ("one", "two", "three")] == [True, False, True]


def test_a_count_of_the_groups_that_have_it_is_said_once():
    groups = [{"retrieval": {"queries": 10, "map_at_r": 0.5}}], [{}], [{"retrieval": {"queries": 10, "map_at_r": 0.4}}]
    (found,) = table(*groups)
    assert found.counts == ("queries 10",)
    assert [column.title for column in found.columns] == ["MAP@R"]


def test_every_number_of_a_method_is_declared_once():
    for method in METHODS.values():
        names = [value.name for value in method.values]
        assert len(set(names)) == len(names)
        assert all(value.unit in ("fraction", "count", "degrees", "") for value in method.values)
        assert not [value.name for value in method.values if value.better and not value.is_fraction]


def test_on_the_screen_a_cell_of_fewer_seeds_says_how_many(capsys):
    lacking = {"accuracy": {"unavailable": "no images"}}
    runs = [[{"accuracy": 0.5}, lacking, lacking], [{"accuracy": 0.6}, {"accuracy": 0.7}]]
    metrics_table.print_tables(["one", "other"], [[{"last": {"epoch": 1, "test": run}} for run in one] for one in runs])
    out = capsys.readouterr().out
    assert "one, n = 3" in out
    assert "50.00 (n = 1)" in out
    assert "(n = 2)" not in out
