"""The signature and the docstring of a loss's class, made of its options."""

from __future__ import annotations

import inspect
import re

from lossbench import options as options_room


def sign(cls) -> None:
    """Give a class the signature that its options make, for `help` and editors."""
    _, *arguments = inspect.signature(cls.__init__).parameters.values()
    if "__init__" not in vars(cls):
        kinds = {"float": float, "int": int, "bool": bool, "str": str}
        own = [
            inspect.Parameter(
                name,
                inspect.Parameter.KEYWORD_ONLY,
                default=option.default,
                annotation=kinds.get(option.type_name, object),
            )
            for name, option in cls.options.items()
        ]
        positional = [p for p in arguments if p.kind is p.POSITIONAL_OR_KEYWORD]
        arguments = [*positional, *own, *(p for p in arguments if p.kind is p.KEYWORD_ONLY)]
    cls.__signature__ = inspect.Signature(arguments)


def documented(cls) -> str:
    """The docstring with a ``Parameters`` section made of the options, before its first section."""
    text = inspect.cleandoc(cls.__doc__)
    entries = options_room.parameters(cls.options)
    arguments = inspect.signature(cls).parameters
    if "num_classes" in arguments:
        entries = f"num_classes, embedding_size : int\n    C and D.\n{entries}"
    if "weight_initializer" in arguments:
        entries += "\nweight_initializer : Initializer or str, optional\n    Of the class parameters."
    section = f"Parameters\n----------\n{entries}\n"
    raises = "Raises\n------\nValueError\n    If an argument is outside its range.\n"
    found = re.search(r"^(Attributes|Notes|References|Examples)\n-+$", text, re.MULTILINE)
    place = found.start() if found else len(text)
    text = f"{text[:place].rstrip()}\n\n{section}\n{text[place:]}"
    found = re.search(r"^(References|Examples)\n-+$", text, re.MULTILINE)
    place = found.start() if found else len(text)
    return f"{text[:place].rstrip()}\n\n{raises}\n{text[place:]}".rstrip() + "\n"
