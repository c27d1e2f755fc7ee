"""A config as plain values by dotted key, as they stand in YAML."""

from __future__ import annotations

from typing import Any


def flat(value: Any, path: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the value of every dotted key; list members go by their name, as in an override.

    Examples
    --------
    >>> flat({"seed": 0, "head": {"name": "lgm"}, "regularizers": [{"name": "ring", "radius": 2}], "freeze": ["a"]})
    {'seed': 0, 'head.name': 'lgm', 'regularizers.ring.name': 'ring', 'regularizers.ring.radius': 2, 'freeze': ['a']}
    """
    if isinstance(value, dict) and value:
        members = list(value.items())
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        members = [
            (item.get("name", index) if isinstance(item, dict) else index, item) for index, item in enumerate(value)
        ]
    else:
        return {".".join(path): value}
    return {key: inner for name, item in members for key, inner in flat(item, (*path, str(name))).items()}
