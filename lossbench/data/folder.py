"""Image folders: a folder for each class in train/, val/ and test/, images at any depth below it."""

from __future__ import annotations

import hashlib
import math
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from lossbench.data import files, tree
from lossbench.data.dataset import PARTS, Split, of_parts
from lossbench.data.images import SUFFIXES, checksum, picture
from lossbench.data.split import with_test
from lossbench.data.streamed import Streamed, is_wanted
from lossbench.errors import UserError
from lossbench.paths import expanded

NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
"""Names that the folder of each part goes by."""

MOST_DAMAGED = 0.01
"""Share of a part's images that may be damaged; they are left out and named."""
MOST_ABSENT = 0.5
"""Share of a part's images that may be left out because they are not there or of a format that is not read."""

_LAYOUT = "Images are looked for in train/<class>/ and test/<class>/ of data.root, as " + " ".join(SUFFIXES) + "."
_TINY = "val_annotations.txt"
_NAMED = 10  # classes


def load(config_data, seed, parts=PARTS, class_names=None):
    """Images in a folder for each class: scaled until they cover ``image_size``, the middle is kept.

    Classes are the folders of ``train`` in alphabetical order. A folder ``val`` (or ``validation``, ``valid``,
    ``dev``) is the validation split; where no test image has a label, as in Tiny-ImageNet or where there is no test
    folder, it is the test split instead. With ``test_fraction`` a stratified part of ``train``, or of the class folders
    in ``root`` itself, is the test split.
    """
    root = expanded(config_data.root)
    if not root.is_dir():
        raise files.invalid(root, "be a folder", "none", _LAYOUT)
    needs_train = class_names is None or "train" in parts
    folders = _folders(root, config_data.test_fraction, needs_train)
    classes = _classes(folders, class_names)
    there = {name: folder for name, folder in folders.items() if folder and (name != "train" or needs_train)}
    listed = {name: _images(folder, classes, name == "train") for name, folder in there.items()}
    notes = _choose_test(root, folders, listed, config_data.test_fraction)
    wanted = {name if name in listed else "train" for name in parts}  # whose images are made of those of train
    if "train" in wanted and "train" not in listed:
        folders["train"] = _folders(root, config_data.test_fraction, True)["train"]
        listed["train"] = _images(folders["train"], classes, True)
    size = config_data.channels * math.prod(config_data.height_and_width)
    is_streamed = is_wanted(config_data.streaming, size * sum(len(listed[name][0]) for name in wanted))
    splits, checksums = {}, {}
    for name in (name for name in PARTS if name in wanted):
        (labeled, found), folder = listed[name], folders[name]
        _refuse_absent(root, folder, found)
        splits[name], checksums[f"{folder.name}/"] = _read(folder.name, root, labeled, found, config_data, is_streamed)
        notes += [f"{folder.name}: {phrase}" for phrase in found.reasons(root)]
        if found.others:
            notes.append(f"{folder.name}: {len(found.others)} files that are no images were left out")
    if "test" not in listed:
        splits.update(with_test(splits["train"], config_data.test_fraction))
    return of_parts(
        splits,
        num_classes=len(classes),
        class_names=[tree.text(name) for name in classes],
        checksums=checksums,
        notes=notes,
        background=config_data.background,
    )


def _folders(root, test_fraction, needs_train):
    """The folder of each part, None where there is none."""
    inside = tree.subfolders(root)
    found = {}
    for part, names in NAMES.items():
        fitting = [path for path in inside if path.name.lower() in names]
        if len(fitting) > 1:
            got = ", ".join(path.name for path in fitting)
            raise files.invalid(root, f"hold one {part} folder", got, "Take the others away.")
        found[part] = fitting[0] if fitting else None
    if found["train"] is None and test_fraction and not any(found.values()):
        found["train"] = root  # the classes themselves
    if found["train"] is None and needs_train:
        raise files.invalid(root / "train", "be a folder", "none", _LAYOUT + _hint(root, inside))
    return found


def _hint(root, inside):
    """Where the images may be instead."""
    deeper = [path for path in inside if (path / "train").is_dir()]
    if deeper:
        return f" There is {deeper[0] / 'train'}: set data.root to {deeper[0]}."
    if len(inside) > 1:
        return f" If the folders in {root} are the classes, set data.test_fraction to 0.2, for example."
    return ""


def _classes(folders, class_names):
    """Name of a folder -> label: by the folders in train, or as it is known."""
    if class_names is None:
        return {path.name: label for label, path in enumerate(_class_folders(folders["train"]))}
    inside = [path.name for folder in folders.values() if folder for path in tree.subfolders(folder)]
    written = {tree.text(name): name for name in inside}
    return {written.get(name, name): label for label, name in enumerate(class_names)}


def _images(folder, classes, is_train):
    return _tiny(folder, classes) or _labeled(folder, classes, is_train)


def _class_folders(train):
    found = tree.subfolders(train)
    if len(found) < 2:
        raise files.invalid(train, "hold a folder for each of at least 2 classes", f"{len(found)}", _LAYOUT)
    return found


def _labeled(part, classes, is_train):
    """Image paths with their labels, in order, and all that is there; no labels where no folder is a class."""
    found, labeled = tree.beside(part), []
    for path in found.images:
        found.leave_out(path, "beside the class folders")
    found.images = []
    inside = [path.name for path in tree.subfolders(part)]
    unknown = set(inside) - set(classes)
    if unknown and len(unknown) < len(inside):
        rule = f"hold folders of the classes in train alone: {_some(classes)}"
        raise files.invalid(part, rule, _some(sorted(unknown)), _LAYOUT)
    if inside and not unknown or is_train:
        for name, label in classes.items():
            own = tree.below(part / name) if (part / name).is_dir() else tree.Found()
            if is_train and not own.images:
                got = f"none in {files.count(len(own), 'file') if len(own) == 1 else f'{len(own)} files'}"
                more = "; ".join(own.reasons(part))
                raise files.invalid(
                    part / name, "hold at least one image", got, " ".join(filter(None, [more, _LAYOUT]))
                )
            labeled += [(path, label) for path in own.images]
            found.add(own)
        if not labeled:
            raise files.invalid(part, "hold images", "none", _LAYOUT)
    else:
        found = tree.below(part)
    return labeled, found


def _some(names):
    """The first of some folders' names."""
    shown = ", ".join(map(tree.text, list(names)[:_NAMED]))
    return shown + (f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else "")


def _tiny(part, classes):
    """Labels of Tiny-ImageNet's val/: a table of file and class beside a folder of images, or None."""
    table = part / _TINY
    if not table.is_file():
        return None
    label_of = {}
    for number, line in enumerate(files.contents(table).decode("utf-8", "replace").splitlines(), 1):
        name, _, rest = line.partition("\t")
        label = classes.get(rest.partition("\t")[0])
        if label is None:
            rule = "hold a file's name and its class, a folder of train, between tabs"
            raise files.invalid(table, rule, f"{line[:80]!r} in line {number}", _LAYOUT)
        label_of[name] = label
    found = tree.below(part)
    found.others.remove(table)
    labeled = [(path, label_of[path.name]) for path in found.images if path.name in label_of]
    for path in found.images:
        if path.name not in label_of:
            found.leave_out(path, f"not in {_TINY}")
    return labeled, found


def _choose_test(root, folders, parts, test_fraction):
    """Make the validation folder the test split where no test image has a label; says what was done."""
    notes = []
    if "test" in parts and not parts["test"][0]:
        folder, count = folders["test"], len(parts["test"][1])
        if test_fraction is None and "validation" not in parts:
            rule = "hold folders of the classes in train"
            raise files.invalid(folder, rule, f"none; its {count} files have no label", _LAYOUT + _way_to_test())
        notes.append(f"{folder.name}: {files.count(count, 'file')} without a label left out")
        del parts["test"]
    if "test" in parts or test_fraction is not None:
        return notes
    if "validation" not in parts:
        raise files.invalid(root / "test", "be a folder", "none", _LAYOUT + _way_to_test())
    parts["test"], folders["test"] = parts.pop("validation"), folders["validation"]
    name = folders["test"].name
    return [*notes, f"{name} is the test split, as no test image has a label; validation images come from train"]


def _way_to_test():
    return " Without labeled test images, set data.test_fraction to 0.2, for example."


def _refuse_absent(root, folder, found):
    absent = sum(map(len, found.left_out.values())) - len(found.left_out.get("beside the class folders", ()))
    if absent > MOST_ABSENT * (absent + len(found.images)):
        rule = f"have at least {1 - MOST_ABSENT:.0%} of its images in place"
        raise files.invalid(folder, rule, "; ".join(found.reasons(root)), "Fetch or convert them.")


def _read(part, root, labeled, found, config_data, is_streamed):
    """The split, and one checksum over the names and contents of its files; damaged images are left out.

    Of images to be streamed, damaged are those whose bytes are no whole image; what only decoding tells comes later.
    """
    from tqdm import tqdm

    shape = (config_data.channels, *config_data.height_and_width)
    images = None if is_streamed else np.empty((len(labeled), *shape), np.uint8)
    paths, labels, names, damaged = [], [], [], []
    state = hashlib.sha256()

    def looked_at(item):
        try:
            return (None, checksum(item[0])) if is_streamed else picture(item[0], shape, config_data.background)
        except UserError as error:
            return error

    with ThreadPoolExecutor(max(1, config_data.workers)) as pool:
        outcomes = pool.map(looked_at, labeled)
        bar = tqdm(zip(labeled, outcomes), total=len(labeled), desc=f"reading {part}", unit=" images", disable=None)
        for (path, label), outcome in bar:
            if isinstance(outcome, UserError):
                found.leave_out(path, "damaged")
                damaged.append(outcome)
                if len(damaged) > MOST_DAMAGED * len(labeled):
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise _too_many(damaged, labeled)
                continue
            pixels, digest = outcome
            if is_streamed:
                paths.append(path)
            else:
                images[len(labels)] = pixels
            name = path.relative_to(root).as_posix()
            state.update(os.fsencode(f"{name} {digest}\n"))
            labels.append(label)
            names.append(tree.text(name))
    if is_streamed:
        images = Streamed(
            lambda row: picture(paths[row], shape, config_data.background)[0], shape, np.arange(len(paths))
        )
    return Split(
        images if is_streamed else images[: len(labels)], np.array(labels, np.int32), np.array(names)
    ), state.hexdigest()


def _too_many(damaged, labeled):
    if len(damaged) == 1:
        return damaged[0]
    return UserError(f"{damaged[0]} It is one of {len(damaged)} in {len(labeled):,} images that are damaged.")
