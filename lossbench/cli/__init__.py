"""What scripts/*.py and the `lossbench` command call: arguments in, experiment out, errors as one line.

A file per command. None imports MXNet before it runs, so that `--help` and a mistake in a config answer at once.
"""

from __future__ import annotations

import difflib
import re
import sys

from lossbench import console
from lossbench.cli import (
    benchmark,
    clean,
    compare,
    completion,
    configs,
    embed,
    eval,
    export,
    glyphs,
    losses,
    neighbors,
    new_config,
    new_loss,
    plot,
    predict,
    report,
    runs,
    sweep,
    train,
)
from lossbench.errors import UserError

# In the order in which a beginner meets them.
COMMANDS = {
    module.__name__.rpartition(".")[2].replace("_", "-"): module
    for module in (
        *(train, eval, predict, embed, neighbors, export, plot, report, sweep),
        *(new_config, glyphs, losses, new_loss, runs, compare, clean, configs, benchmark, completion),
    )
}
DESCRIPTION = "Train, evaluate and compare classification losses that shape the embedding space, in MXNet."


def main(arguments=None) -> int:
    """The `lossbench` command: `lossbench train …` is `scripts/train.py …`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]].main(arguments[1:], f"lossbench {arguments[0]}")
    return _greet(arguments)


@console.guarded
def _greet(arguments, prog):
    lines = {name: re.split(r"[.;:]\s", command.DESCRIPTION)[0] for name, command in COMMANDS.items()}
    parser = console.parser(
        "lossbench",
        DESCRIPTION,
        f"commands:\n{console.explained(lines)}\n\n`lossbench COMMAND --help` explains one. "
        "A first training, of a minute: `lossbench train lgm_digits`.",
    )
    parser.usage = "lossbench COMMAND [...]"
    _, rest = parser.parse_known_args(arguments)
    if not rest:
        parser.print_help()
        return
    close = difflib.get_close_matches(rest[0], COMMANDS, 1)
    way_out = f"Did you mean {close[0]}?" if close else "`lossbench` alone says what each does."
    raise UserError(f"lossbench: COMMAND must be one of {', '.join(COMMANDS)}, got {rest[0]}. {way_out}")
