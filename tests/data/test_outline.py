"""The form of a dataset without its files is that of the dataset."""

import pytest

from lossbench import cli, data


@pytest.mark.parametrize("holdout", [[], [1, 3]])
@pytest.mark.parametrize(
    ("source", "options"),
    [
        ("digits", {}),
        ("synthetic", {"num_classes": 5, "image_size": 9, "channels": 3}),
        ("mnist", {}),
        ("cifar10", {}),
        ("cifar100", {}),
    ],
)
def test_it_is_that_of_the_dataset(tmp_path, small, rng, source, options, holdout):
    if source == "mnist":
        small.write_idx(tmp_path, rng)
    elif source.startswith("cifar"):
        small.write_cifar(tmp_path, rng, source)
    section = small.section(source, root=str(tmp_path), holdout_classes=holdout, **options)
    found, outline = data.load(section, 0), data.outline(section)
    assert (outline.num_classes, outline.image_shape) == (found.num_classes, found.image_shape)


def test_records_tell_and_folders_do_not(small):
    records = small.section("record", train="a", test="b", image_size=(4, 6), channels=1, num_classes=7)
    assert (data.outline(records).num_classes, data.outline(records).image_shape) == (7, (1, 4, 6))
    assert data.outline(small.section("folder", root="x", image_size=4)) is None


def test_show_needs_no_data(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "lgm_mnist", "--show", "data.root=nowhere"]) == 0
    assert "head.mean" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
