"""Write docs/loss_reference.md: every loss in a section, made of its class alone.

    python docs/tools/losses.py [--out FILE]

A new loss appears without a change here.
"""

from __future__ import annotations

import argparse
import inspect
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from lossbench import atomic, heads, regularizers  # noqa: E402

HEAD = """\
# Reference of the losses

Formula, picture, options, notes and source of every loss, as its class states them; `python docs/tools/losses.py` makes
the page. Which one to take, and how to set it: [losses.md](losses.md).
"""
SECTIONS = re.compile(r"^(\w+)\n-+\n", re.MULTILINE)


def page() -> str:
    """Return the page."""
    blocks = dict.fromkeys({**heads.HEADS, **regularizers.REGULARIZERS}.values())
    return "\n\n".join([HEAD.rstrip(), *map(section, blocks)]) + "\n"


def section(block) -> str:
    """Return the section of one loss."""
    intro, *parts = SECTIONS.split(inspect.cleandoc(block.__doc__))
    parts = dict(zip(parts[::2], parts[1::2]))
    names = ", ".join(f"`{name}`" for name in block.names)
    said = [f"## {block.__name__}", f"`{block.__name__}`, config {names}", markdown(intro)]
    said.append(f"![Picture of {block.__name__}](images/{block.config_name}.png)")
    said.append(table(block.options))
    said.extend(markdown(parts[name]) for name in ("Notes", "References") if name in parts)
    return "\n\n".join(said)


def table(options) -> str:
    """Return the options as a table."""
    rows = ["| option | default | |", "|---|---|---|"]
    for name, option in options.items():
        default = "null" if option.default is None else str(option.default)
        moved = ". Scheduled" if option.scheduled else ""
        rows.append(f"| `{name}` | {default} | {markdown(option.description).replace('|', chr(92) + '|')}{moved} |")
    return "\n".join(rows)


def markdown(text) -> str:
    """Return reStructuredText, as far as docstrings here use it, as Markdown."""
    text = re.sub(r":math:`([^`]*)`", r"$\1$", text)
    text = re.sub(r"``([^`]*)``", r"`\1`", text)
    return re.sub(r"\.\. math::((?:\n(?:[ \t]+.*)?|.+)+?)(?=\n\S|\Z)", _formula, text).strip()


def _formula(found) -> str:
    parts = re.split(r"\n[ \t]*\n", textwrap.dedent(found[1].strip("\n")).strip())
    return "\n\n".join(f"```math\n{textwrap.dedent(part).strip()}\n```" for part in parts) + "\n"


def main(arguments=None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", default=ROOT / "docs/loss_reference.md", type=pathlib.Path, metavar="FILE")
    atomic.write_atomically(parser.parse_args(arguments).out, page().encode())


if __name__ == "__main__":
    main()
