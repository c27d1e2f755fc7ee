"""`lossbench losses`: which losses there are, and what one of them takes."""

from __future__ import annotations

import inspect

from lossbench import console

DESCRIPTION = """\
List the losses that a config may name, or explain one: formula, options with their ranges and defaults, references.
Losses of a plugin are among them.
"""
EXAMPLES = """\
examples:
  lossbench losses
  lossbench losses arcface
  lossbench losses my_loss --plugin my_losses.py
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION, EXAMPLES)
    parser.add_argument("name", nargs="?", metavar="NAME", help="explain this loss")
    options = parser.parse_args(arguments)

    from lossbench import registry

    families = (registry.HEADS, registry.REGULARIZERS)
    if options.name is None:
        for family in families:
            print(f"{family.kind}s (`{'head.name' if family is registry.HEADS else 'regularizers'}` in a config):")
            console.print_columns([[names, summary(block)] for names, block in named(family.table())], "  ")
        return
    tables = {name: block for family in families for name, block in family.table().items()}
    if options.name not in tables:
        registry.HEADS.get(options.name)  # says what there is
    block = tables[options.name]
    print(f"{', '.join(getattr(block, 'names', (options.name,)))} ({block.__name__})\n")
    print(inspect.getdoc(block) or "No docstring.")


def named(table) -> list:
    """Each class once, with its names in one text."""
    found: dict = {}
    for name, block in table.items():
        found.setdefault(block, []).append(name)
    return [(", ".join(names), block) for block, names in found.items()]


def summary(block) -> str:
    """The first line of its docstring."""
    return (inspect.getdoc(block) or "").partition("\n")[0]
