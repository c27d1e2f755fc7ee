"""HTML and SVG in which every text is escaped unless this module made it."""

from __future__ import annotations

import html

VOID = {"br", "img", "meta", "wbr"}  # of HTML, those that have no end tag


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def element(tag: str, *content, **attributes) -> Markup:
    """Return an element around its content, which is escaped unless it is `Markup`.

    An attribute that is None or False is left out, True stands by its name alone. In their names `_` means `-`, and one
    at the end is dropped (`class_`).

    Examples
    --------
    >>> element("p", "a < b", element("br"), class_="note", hidden=True, title=None)
    '<p class="note" hidden>a &lt; b<br></p>'
    """
    written = "".join(_attribute(name, value) for name, value in attributes.items())
    return Markup(f"<{tag}{written}>" if tag in VOID else f"<{tag}{written}>{together(*content)}</{tag}>")


def together(*content) -> Markup:
    """Return one after the other what may be text, markup, a list of these or None.

    Examples
    --------
    >>> together("&", [element("b", 1), None])
    '&amp;<b>1</b>'
    """
    parts = []
    for item in content:
        if isinstance(item, Markup):
            parts.append(item)
        elif isinstance(item, (list, tuple)):
            parts.append(together(*item))
        elif item is not None:
            parts.append(html.escape(str(item)))
    return Markup("".join(parts))


def _attribute(name, value):
    if value is None or value is False:
        return ""
    name = name.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(str(value))}"'
