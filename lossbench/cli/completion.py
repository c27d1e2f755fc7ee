"""`lossbench completion`: the Tab key of a shell."""

from __future__ import annotations

import contextlib
import io
import re

from lossbench import console

DESCRIPTION = """\
Print what lets a shell complete commands, their options and the names of configs.

bash: put `eval "$(lossbench completion bash)"` into ~/.bashrc. zsh: the same with zsh, into ~/.zshrc.
"""
PRELUDE = {"bash": "", "zsh": "autoload -Uz compinit bashcompinit && compinit && bashcompinit\n"}
SCRIPT = """\
_lossbench() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} words
    if [ "$COMP_CWORD" = 1 ]; then
        words="{commands}"
    else
        case ${{COMP_WORDS[1]}} in
{cases}
        esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}}
complete -o default -F _lossbench lossbench
"""


@console.guarded
def main(arguments, prog):
    parser = console.parser(prog, DESCRIPTION)
    parser.add_argument("shell", choices=PRELUDE, help="which shell")
    options = parser.parse_args(arguments)

    from lossbench.cli import COMMANDS
    from lossbench.config import shipped

    configs = shipped.names()
    cases = []
    for name, command in COMMANDS.items():
        words = [*_words(command.main), *(configs if name == "train" else ())]
        cases.append(f'            {name}) words="{" ".join(words)}" ;;')
    print(PRELUDE[options.shell] + SCRIPT.format(commands=" ".join(COMMANDS), cases="\n".join(cases)), end="")


def _words(command) -> list[str]:
    """Return the options that a command's help names, and its own kinds, such as `benchmark train`."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
        command(["--help"], "lossbench")
    options = re.findall(r"^  (?:-\w, )?(--[a-z][a-z-]*)", said.getvalue(), re.MULTILINE)
    kinds = re.findall(r"^    ([a-z]+)(?:  |$)", said.getvalue(), re.MULTILINE)
    return list(dict.fromkeys([*kinds, *options]))
