"""Write docs/config_keys.md: every key of a config and of a sweep file, made of the classes that judge them.

    python docs/tools/config_keys.py [--out FILE]

A new key appears without a change here.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lossbench import atomic  # noqa: E402
from lossbench.config.losses import HeadSection, LossSection  # noqa: E402
from lossbench.config.schema import Config  # noqa: E402
from lossbench.config.section import Choice, Many, Section, shapes  # noqa: E402
from lossbench.config.sweep import Sweep  # noqa: E402

HEAD = """\
# Every key of a config

Made by `python docs/tools/config_keys.py` of the classes that judge a config. `key=value` on the command line sets any
of these ([training](training.md)); `train.py --show` prints what your own config comes to. Where the default is –, the
config or its `base:` must say a value. ↻ may change with `--resume`.
"""
LOSSES = {
    "head": (HeadSection, "The options of each loss: [reference of the losses](loss_reference.md)."),
    "regularizers": (LossSection, "The options of each: [reference of the losses](loss_reference.md)."),
}


def page() -> str:
    """Return the page."""
    plain = {key: field for key, field in Config.model_fields.items() if section_in(Config, key) is None}
    parts = [HEAD.rstrip(), "## Config", table(rows(plain))]
    for key in (key for key in Config.model_fields if key not in plain):
        parts += [f"## {key}", sentence(Config.model_fields[key]), *section(key)]
    keys = [row for key, field in Sweep.model_fields.items() for row in tree(Sweep, {key: field})]
    parts += [
        "## Sweep",
        "The keys of a file for `lossbench sweep` ([sweeps](sweeps.md)).",
        table(keys),
        *kinds("tune"),
    ]
    return "\n\n".join(parts) + "\n"


def section_in(model: type[Section], key: str):
    """Return the section that a key holds, by itself or many of; None for plain values."""
    shape = shapes(model)[key]
    return shape.member if isinstance(shape, Many) else shape


def section(key: str) -> list[str]:
    """Return the parts on a key of a config that holds a section."""
    shape = section_in(Config, key)
    if key in LOSSES:
        model, words = LOSSES[key]
        prefix = f"{key}.<n>." if key == "regularizers" else f"{key}."
        return [table([which(shape, prefix), *tree(model, model.model_fields, prefix)]), words]
    if isinstance(shape, Choice):
        return choice(shape, f"{key}.<path>." if isinstance(shapes(Config)[key], Many) else f"{key}.")
    return [table(tree(shape, shape.model_fields, f"{key}."))]


def which(shape: Choice, prefix: str) -> list[str]:
    """Return the row of the key that chooses."""
    return [f"`{prefix}{shape.key}`", "–", "one of " + ", ".join(f"`{name}`" for name in sorted(shape.table))]


def choice(shape: Choice, prefix: str) -> list[str]:
    """Return a table of what all choices have, and one of what each has beside that."""
    named: dict[type[Section], list[str]] = {}
    for name, model in shape.table.items():
        named.setdefault(model, []).append(name)
    shared = set.intersection(*({*model.model_fields} - {shape.key} for model in named))
    base = next(model for model in next(iter(named)).__mro__ if shared == {*getattr(model, "model_fields", ())})
    parts = [table([which(shape, prefix), *(tree(base, base.model_fields, prefix) if shared else [])])]
    for model, names in named.items():
        heading = ", ".join(f"`{shape.key}: {name}`" for name in names)
        own = {
            key: field for key, field in model.model_fields.items() if key != shape.key and differs(key, model, base)
        }
        parts += [f"### {heading}", sentence(model.model_fields[shape.key])]
        parts += [table(tree(model, own, prefix))] if own else []
    return parts


def differs(key: str, model: type[Section], base: type[Section]) -> bool:
    """Whether a model has a key that its base lacks or describes otherwise."""
    theirs = base.model_fields.get(key)
    return theirs is None or theirs.description != model.model_fields[key].description


def kinds(key: str) -> list[str]:
    """Return the parts on the ranges of a search."""
    return choice(section_in(section_in(Sweep, key), "shared"), f"{key}.shared.<key>.")


def tree(model: type[Section], fields, prefix: str = "") -> list:
    """Return the rows of keys, those of sections inside of them with dots."""
    found = []
    for key, field in fields.items():
        shape, path = shapes(model)[key], f"{prefix}{key}"
        step = (".<name>" if shape.by_key else ".<n>") if isinstance(shape, Many) else ""
        inner = section_in(model, key)
        if not isinstance(shape, type):
            found += rows({path: field})
        if isinstance(inner, type):
            found += tree(inner, inner.model_fields, f"{path}{step}.")
    return found


def rows(fields) -> list:
    """Return a row for each key."""
    return [[f"`{key}`", default(field), said(field)] for key, field in fields.items()]


def default(field) -> str:
    """Return a default as YAML."""
    if field.is_required():
        return "–"
    value = field.default.model_dump() if isinstance(field.default, Section) else field.default
    return f"`{json.dumps(value)}`".replace('"', "")


def said(field) -> str:
    """Return what a key means, and whether it may change with --resume."""
    extra = " ↻" if field.json_schema_extra else ""
    return escaped(field.description) + extra


def sentence(field) -> str:
    """Return what a section is."""
    words = escaped(field.description)
    return (words if "(" in words.split()[0] else words[0].upper() + words[1:]) + "."


def escaped(text: str) -> str:
    """Return text without what Markdown would read."""
    return re.sub(r"([|*<])", r"\\\1", text)


def table(found) -> str:
    """Return rows as a table."""
    lines = ["| key | default | |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in found)]
    return "\n".join(lines)


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=ROOT / "docs/config_keys.md", type=pathlib.Path, metavar="FILE")
    atomic.write_atomically(parser.parse_args(arguments).out, page().encode())


if __name__ == "__main__":
    main()
