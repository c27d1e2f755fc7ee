"""What lies in a folder of data, and the data section of a config that fits it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from lossbench.data import cifar, files, folder, idx, images, record, recordio, table, tree
from lossbench.errors import UserError
from lossbench.paths import expanded

_LOOKED_AT = 200  # images whose sizes are read
_SIDES = (32, 48, 64, 96, 128)
_STEPS = 20  # an epoch should have so many, for the batch that is chosen
_WAY_OUT = "Name a folder of images, of .rec files, of IDX files, of CIFAR's, or of tables."


@dataclass(frozen=True)
class Proposal:
    """A data section, and what it was chosen by."""

    section: dict
    found: list
    """Sentences on what is there."""
    channels: int
    side: int
    """The longer side of an image in pixels."""
    pairs: int = 6000
    """How many pairs of test images a verification can draw."""


def propose(root):
    """Look at a folder and choose a data section for it.

    Raises
    ------
    ValueError
        If nothing is there that a source reads; or the data are not as the source wants them.
    """
    root = expanded(root).resolve()
    if not root.is_dir():
        raise files.invalid(root, "be a folder", "none", _WAY_OUT)
    for look in (_idx, _cifar, _records, _tables, _folders):
        proposal = look(root)
        if proposal is not None:
            return proposal
    raise files.invalid(root, "hold data", "none that are known", _WAY_OUT)


def batch_size(count):
    """The power of two from 4 to 128 that gives an epoch some steps.

    Examples
    --------
    >>> batch_size(60_000), batch_size(500), batch_size(30)
    (128, 16, 4)
    """
    return int(2 ** np.clip(np.floor(np.log2(max(count, 1) / _STEPS)), 2, 7))


def _idx(root):
    for name, stems in idx._FILES.items():
        paths = {stem: files.first(root, idx._names(stem)) for stem in stems}
        if not all(paths.values()):
            continue
        path = paths["train-labels-idx1-ubyte"]
        labels = hashlib.sha256(files.unpacked(path, files.contents(path), _WAY_OUT)).hexdigest()
        is_published = labels == stems["train-labels-idx1-ubyte"][1]
        if is_published or name == list(idx._FILES)[-1]:
            known = name if is_published else "mnist"
            text = f"IDX files of {known}" if is_published else "IDX files of unknown origin, read as MNIST's"
            section = {"source": known.replace("-", "_"), "root": str(root), "batch_size": 128}
            return Proposal(section, [text], 1, 28)
    return None


def _cifar(root):
    for form in (cifar._CIFAR10, cifar._CIFAR100):
        places = (root, root / form.inner, root / form.python)
        if any(
            cifar._has_python(form.files, place) or all((place / n).is_file() for n in form.files) for place in places
        ):
            section = {"source": form.name, "root": str(root), "batch_size": 128}
            return Proposal(section, [f"the files of {form.name}"], 3, 32)
    return None


def _records(root):
    names = sorted(path.name for path in root.glob("*.rec"))
    if not names:
        return None
    train = next((name for name in names if "train" in name), names[0])
    test = _test_of([name for name in names if name != train])
    scan = recordio.scan(root / train)
    labels, reader = record.classes_of(root / train, scan, 1 << 24), recordio.Reader(root / train, scan)
    sizes, kinds = [], set()
    for row in range(min(len(labels), _LOOKED_AT)):
        image = reader.image(row)
        sizes.append(images.size_of(image)[0])
        kinds.add(images.is_gray(image))
    side, text = _size(sizes)
    channels = 1 if kinds == {True} else 3
    found = [f"{train} with {files.count(len(labels), 'image')} of {labels.max() + 1:,} classes, {text}"]
    if test is None:
        found.append("no other .rec file: a fifth of the images is the test set")
    section = {"source": "record", "root": str(root), "train": train}
    section |= {"test_fraction": 0.2} if test is None else {"test": test}
    section.update(image_size=side, channels=channels, num_classes=max(int(labels.max()) + 1, 2))
    return Proposal({**section, "batch_size": batch_size(len(labels))}, found, channels, int(np.max(side)))


def _test_of(names):
    """The file to test on: by its name, or the first."""
    return next((name for part in ("test", "val") for name in names if part in name.lower()), next(iter(names), None))


def _tables(root):
    names = sorted(path.name for path in root.iterdir() if path.name.lower().endswith((".csv", ".csv.gz", ".npz")))
    shapes, refused = {}, {}
    for name in names:
        try:
            shapes[name] = _shapes(root / name)
        except UserError as error:
            refused[name] = error
    train = min((name for name in shapes if "train" in shapes[name]), key=_rank, default=None)
    test = None
    if train is not None:
        shape = shapes[train]["train"]
        is_both = train.lower().endswith(".npz") and "test" in shapes[train]
        others = [name for name in shapes if name != train and "train" not in name.lower()]
        test = train if is_both else _test_of([name for name in others if shapes[name].get("test") == shape])
    if test is None:
        if not (train or refused) or any(tree.below(path).images for path in tree.subfolders(root)):
            return None
        raise _no_test(root, train, shape, refused) if train else refused[min(refused, key=_rank)]
    channels, height, width = shape
    named = train if is_both else f"{train} and, for the test, {test}"
    section = {"source": "table", "root": str(root), "train": train, "test": test}
    section |= {"channels": channels} if channels == 3 else {}
    found = [f"table {named}: {width} x {height} pixels" + ", color" * (channels == 3)]
    return Proposal({**section, "batch_size": 128}, found, channels, max(height, width))


def _rank(name):
    """Least for the table to train on."""
    lower = name.lower()
    return "train" not in lower, "test" in lower or "val" in lower, name


def _shapes(path):
    """The form of a table's images, by the part that they can be."""
    if path.name.lower().endswith(".npz"):
        shapes = {part: split.image_shape for part, split in table.archive(path, files.contents(path)).items()}
        if not shapes:
            raise files.invalid(path, "hold images and labels by Keras's or MedMNIST's names", "none", table._WAY_OUT)
        return shapes
    try:
        shape = table.first_rows(path, 1).image_shape
    except UserError as error:
        try:
            shape = table.first_rows(path, 3).image_shape
        except UserError:
            raise error from None
    if shape[1:] == (1, 1):
        raise files.invalid(path, "hold images", "one number beside the label", "Name a folder of tables of pixels.")
    return {"train": shape, "test": shape}


def _no_test(root, train, shape, refused):
    name = _test_of(list(refused))
    got = "none" if name is None else f"none ({refused[name]})"
    rule = f"hold a table to test on beside {train}, with its {shape[2]} x {shape[1]} pixels"
    return files.invalid(root, rule, got, f"Move a share of the rows of {train}, of every class, into a test.csv.")


def _folders(root):
    inside = tree.subfolders(root)
    if not inside:
        return None
    has_train = any(path.name.lower() in folder.NAMES["train"] for path in inside)
    parts = folder._folders(root, None if has_train else 0.2, True)
    classes = folder._class_folders(parts["train"])
    found, paths, counts = [], [], {}
    for path in classes:
        below = tree.below(path)
        counts[path.name], paths = len(below.images), paths + below.images
        found += [f"{tree.text(path.name)}: {phrase}" for phrase in below.reasons(root)]
    if not paths:
        raise files.invalid(parts["train"], "hold images", "none", _WAY_OUT)
    chosen = [paths[k] for k in np.linspace(0, len(paths) - 1, min(len(paths), _LOOKED_AT)).astype(int)]
    sizes, kinds = [], set()
    for path in chosen:
        content = files.contents(path)
        try:
            sizes.append(images.size_of(content)[0])
            kinds.add(images.is_gray(content))
        except UserError as error:
            found.append(f"{tree.shown(path, root)} is damaged ({error})")
    side, text = _size(sizes)
    least, most = min(counts, key=counts.get), max(counts, key=counts.get)
    spread = f"{counts[least]:,} ({tree.text(least)}) to {counts[most]:,} ({tree.text(most)})"
    spread = spread if counts[least] < counts[most] else f"{counts[most]:,} each"
    found.insert(0, f"{files.count(len(paths), 'image')} of {len(classes):,} classes, {spread}; {text}")
    channels = 1 if kinds == {True} else 3
    section = {"source": "folder", "root": str(root), "image_size": side, "channels": channels}
    if parts["test"] is None and parts["validation"] is None:
        section["test_fraction"] = 0.2
        found.append("no test folder: a fifth of the images is the test set")
    for part in ("validation", "test"):
        if parts[part] is not None:
            found.append(f"{parts[part].name}/ is there")
    tested = parts["test"] or parts["validation"]
    each = [n // 5 for n in counts.values()]  # the fifth that is set apart
    if tested is not None:
        each = [len(tree.below(path).images) for path in tree.subfolders(tested)]
    section["batch_size"] = batch_size(len(paths))
    return Proposal(section, found, channels, int(np.max(side)), _pairs(each))


def _pairs(counts):
    """The multiple of 20, at most 6,000, of which half are pairs of one class, by the number of images of each class.

    Examples
    --------
    >>> _pairs([16, 16]), _pairs([1000, 1000]), _pairs([2, 2])
    (480, 6000, 20)
    """
    same = sum(n * (n - 1) // 2 for n in counts)
    return int(np.clip(2 * same // 20 * 20, 20, 6000))


def _size(sizes):
    """The side or [height, width] that images are brought to, and what they have."""
    sizes = np.array(sizes)
    wide, high = (int(n) for n in np.median(sizes, axis=0))
    if (sizes == sizes[0]).all() and max(wide, high) <= _SIDES[-1]:
        return (wide if wide == high else [high, wide]), f"all {wide} x {high} pixels"
    side = max(one for one in _SIDES if one <= max(min(wide, high), _SIDES[0]))
    smallest, largest = sizes.min(axis=0), sizes.max(axis=0)
    return side, f"{smallest[0]} x {smallest[1]} to {largest[0]} x {largest[1]} pixels"
