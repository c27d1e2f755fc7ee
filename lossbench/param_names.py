"""Names in a `.params` file and those of a block, where something else stands before them.

`save_parameters` of a model writes ``head.weight`` for what the head alone calls ``weight``, ``collect_params().save``
writes ``arcface0_weight``, and `export` puts ``arg:`` before that.
"""

from __future__ import annotations

from lossbench.options import require


def alike(names, keys) -> list[dict]:
    """Return name -> key, for the names that are keys but for their beginnings: one beginning for all.

    Of several beginnings those count with which the most names are found; there is a dict for each.

    Examples
    --------
    >>> alike(["weight", "margin"], ["net0_dense0_weight", "net0_arcface0_weight", "net0_arcface0_margin"])
    [{'weight': 'net0_arcface0_weight', 'margin': 'net0_arcface0_margin'}]
    >>> alike(["weight"], ["a.weight", "b.weight", "bias"])
    [{'weight': 'a.weight'}, {'weight': 'b.weight'}]
    """
    # `export` marks what a network moves by itself otherwise than what it learns.
    plain = {key.removeprefix("arg:").removeprefix("aux:"): key for key in keys}
    found = []
    first = next(iter(names))
    for own, theirs in sorted({_beginnings(first, key) for key in plain} - {(first, key) for key in plain}):
        renamed = {name: theirs + name[len(own) :] for name in names if name.startswith(own)}
        found.append({name: plain[key] for name, key in renamed.items() if key in plain})
    most = max(map(len, found), default=0)
    return [one for one in found if one and len(one) == most]


def fitting(where: str, shapes: dict, arrays: dict, allow_missing: bool = False, ignore_extra: bool = False) -> dict:
    """Return name -> array for the block whose parameters have these shapes, from the arrays of a file by their keys.

    Raises
    ------
    ValueError
        If a parameter is not there or has another shape, the block that is there has more, or there are several.
    """
    found = alike(shapes, arrays)
    whole = [one for one in found if all(_fits(arrays[key].shape, shapes[name]) for name, key in one.items())]
    found = whole or found
    several, way_out = [next(iter(names.values())) for names in found], "Take its own file, of save_parameters()."
    require(len(found) < 2, where, next(iter(shapes)), "be there once", several, way_out)
    names = found[0] if found else {}
    keys, other = sorted(arrays), "The file is of another kind of block."
    for name in shapes:
        require(name in names or allow_missing, where, name, "be there", keys, other)
    for name, key in names.items():
        way_out = "For other classes or sizes, start with a new block, and load the backbone alone."
        shape, good = arrays[key].shape, _fits(arrays[key].shape, shapes[name])
        require(good, where, name, f"have shape {shapes[name]}", shape, way_out)
    beginning = next((key.removesuffix(name) for name, key in names.items()), "")
    extra = [key for key in keys if key.startswith(beginning) and key not in names.values()]
    require(not extra or ignore_extra, where, ", ".join(extra), "be a parameter of the block", list(shapes), other)
    return {name: arrays[key] for name, key in names.items()}


def _fits(shape: tuple, wanted) -> bool:
    """Whether it is the shape that is wanted: None for any, a size of 0 or -1 where Gluon does not know it yet."""
    return (
        wanted is None or len(shape) == len(wanted) and all(own < 1 or own == size for size, own in zip(shape, wanted))
    )


def _beginnings(name: str, key: str) -> tuple[str, str]:
    """Return what stands before the longest end that both have, cut where a word begins."""
    size = 0
    while size < min(len(name), len(key)) and name[-size - 1] == key[-size - 1]:
        size += 1
    while size and not all(_begins(text, len(text) - size) for text in (name, key)):
        size -= 1
    return name[: len(name) - size], key[: len(key) - size]


def _begins(text: str, at: int) -> bool:
    return at == 0 or text[at - 1] in "._"
