"""`lossbench configs`: which configs come with lossbench."""

from __future__ import annotations

from lossbench import console

DESCRIPTION = """\
List the configs that come with lossbench.

`lossbench train NAME` and `--config NAME` take a name from any folder; with --show, train prints all that it says.
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only those in whose name or first line it stands")
    options = parser.parse_args(arguments)

    from lossbench.config import shipped

    rows = {}
    for name in shipped.names():
        with open(shipped.folder() / f"{name}.yaml", encoding="utf-8") as file:
            rows[name] = file.readline().strip("# \n")
    wanted = [word.lower() for word in options.words]
    print(console.explained({n: line for n, line in rows.items() if all(w in f"{n} {line}".lower() for w in wanted)}))
