"""The shape of an embedding space: how tight the classes are, how far apart, and where their weights point."""

from __future__ import annotations

import numpy as np

from lossbench.errors import UserError
from lossbench.evaluation import checks, search

NORM_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def describe(embedding, label, prototypes=None, *, max_memory_bytes: int = search.MAX_MEMORY_BYTES) -> dict:
    r"""Return distances, angles and norms of classes in an embedding space.

    With :math:`m_c` the mean embedding of class c, and :math:`u_c` the direction of the mean of its unit vectors:

    - intra-class distance of class c: mean of :math:`|x - m_c|` over its members x; inter-class distance: mean of
      :math:`|m_c - m_d|` over pairs of classes; their ratio says how tight classes are for the room between them;
    - intra-class angle of class c: mean angle between x and :math:`u_c`; inter-class angle: mean angle between
      :math:`u_c` and :math:`u_d`; nearest-class angle of class c: the smallest of its angles to another class;
    - prototype angle of class c: angle between its prototype (the head's weight; of several the nearest) and
      :math:`u_c`.

    Means over classes count each class once, whatever its size.

    Parameters
    ----------
    embedding : (N, D) array
    label : (N,) array
        Class ids.
    prototypes : (C, D) or (C, K, D) array, optional
        Class weights, centers or means of the head; K a class where it has sub-centers.
    max_memory_bytes : int
        Bound on the arrays made on the way.

    Returns
    -------
    dict
        `intra_class_distance`, `inter_class_distance`, `distance_ratio`, the same of angles, in degrees
        (`intra_class_angle`, `inter_class_angle`, `angle_ratio`), `nearest_class_angle`, `prototype_angle` (only with
        prototypes), `norm` (mean, standard deviation and quantiles of :math:`|x|`), and `per_class`: lists over the
        classes 0, 1, 2, ..., None for a class without members. What the data cannot give is
        ``{"unavailable": reason}``.

    Raises
    ------
    Unavailable
        If an embedding or a prototype is NaN or infinite, or there are no rows.

    Notes
    -----
    A zero embedding has no direction and is left out of the angles.

    References
    ----------
    J. Deng, J. Guo, N. Xue, S. Zafeiriou, "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
    table 3, for the angles (there W-EC, Intra2 and Inter2).

    Examples
    --------
    >>> found = describe([[1.0, 0.0], [3.0, 0.0], [0.0, 4.0]], [0, 0, 1], prototypes=[[1.0, 1.0], [0.0, 9.0]])
    >>> found["intra_class_distance"], round(found["inter_class_angle"], 6), round(found["prototype_angle"], 6)
    (0.5, 90.0, 22.5)
    """
    (embedding,) = checks.embeddings("geometry", embedding=embedding)
    (label,) = checks.labels("geometry", len(embedding), label=label)
    checks.not_empty("geometry", embedding=embedding)
    count = 1 + int(label.max())
    if prototypes is not None:
        prototypes = np.asarray(prototypes)
        shape = prototypes.shape
        if len(shape) == 3:
            prototypes = prototypes.reshape(-1, shape[-1])
        _, prototypes = checks.embeddings("geometry", embedding=embedding[:0], prototypes=prototypes)
        if shape[0] < count:
            raise UserError(f"geometry: `prototypes` must have a row for class {count - 1}, got {shape[0]} rows.")
        count = shape[0]
    mean, direction, per_class = _of_each_class(embedding, label, count, max_memory_bytes)
    members = np.bincount(label, minlength=count)
    metrics = {
        "intra_class_distance": _mean(per_class["intra_class_distance"], "no class has members"),
        "inter_class_distance": _mean_between(mean, _distance),
        "intra_class_angle": _mean(per_class["intra_class_angle"], "every embedding is zero"),
        "inter_class_angle": _mean_between(direction, _angle),
    }
    metrics["distance_ratio"] = _ratio(metrics["intra_class_distance"], metrics["inter_class_distance"])
    metrics["angle_ratio"] = _ratio(metrics["intra_class_angle"], metrics["inter_class_angle"])
    per_class["nearest_class_angle"] = _nearest(direction, _angle)
    metrics["nearest_class_angle"] = _mean(per_class["nearest_class_angle"], "fewer than two classes have directions")
    if prototypes is not None:
        pointing = _unit(prototypes.astype(np.float64)).reshape(count, -1, embedding.shape[1])
        per_class["prototype_angle"] = np.fmin.reduce(_angle(pointing, direction[:, None]), axis=1)
        metrics["prototype_angle"] = _mean(per_class["prototype_angle"], "no class has a direction and a prototype")
    norm = _norms(embedding, max_memory_bytes)
    metrics["norm"] = {
        "mean": float(norm.mean()),
        "standard_deviation": float(norm.std()),
        "quantiles": {f"{q:g}": float(value) for q, value in zip(NORM_QUANTILES, np.quantile(norm, NORM_QUANTILES))},
    }
    per_class = {name: [None if np.isnan(v) else float(v) for v in values] for name, values in per_class.items()}
    return {**metrics, "per_class": {"members": members.tolist(), **per_class}}


def angles_to(embedding, label, directions) -> np.ndarray:
    """Return the angle in degrees between each embedding and the direction of its class; NaN for a zero embedding.

    Parameters
    ----------
    embedding : (N, D) array
    label : (N,) array
        Class ids.
    directions : (C, D) array
        Of any length.

    Returns
    -------
    (N,) float64 array

    Examples
    --------
    >>> angles_to([[0.0, 2.0], [1.0, 1.0]], [0, 0], [[5.0, 0.0]]).round(6)
    array([90., 45.])
    """
    embedding, directions = checks.embeddings("geometry", embedding=embedding, directions=directions)
    (label,) = checks.labels("geometry", len(embedding), label=label)
    return _angle(_unit(embedding.astype(np.float64)), _unit(directions.astype(np.float64))[label])


def angles_to_nearest(embedding, label, directions) -> np.ndarray:
    """Return the angle in degrees between each embedding and the nearest of its class's directions (C, K, D)."""
    return np.min([angles_to(embedding, label, directions[:, k]) for k in range(directions.shape[1])], axis=0)


def distances_to(embedding, label, points, precision) -> np.ndarray:
    """Return the distance between each embedding and the point of its class, in standard deviations.

    Parameters
    ----------
    embedding : (N, D) array
    label : (N,) array
        Class ids.
    points, precision : (C, D) array
        Precision is one over the variance; 1 for a plain distance.

    Returns
    -------
    (N,) float64 array

    Examples
    --------
    >>> distances_to(np.array([[0.0, 2.0]]), [1], np.zeros((2, 2)), np.array([[1.0, 1.0], [4.0, 4.0]]))
    array([4.])
    """
    square = np.square(embedding - points[label]) * precision[label]
    return np.sqrt(square.sum(axis=1, dtype=np.float64))


def _of_each_class(embedding, label, count, max_memory_bytes):
    """Return mean (C, D) and mean direction (C, D) of each class, NaN where it has none, and its own figures."""
    size = embedding.shape[1]
    mean, direction = np.full((2, count, size), np.nan)
    per_class = {name: np.full(count, np.nan) for name in ("intra_class_distance", "intra_class_angle", "norm_mean")}
    rows = max(1, int(max_memory_bytes // (8 * 6 * size)))
    for c in np.unique(label):
        members = np.flatnonzero(label == c)
        parts = [members[start : start + rows] for start in range(0, len(members), rows)]
        total, unit_total, norm_total, directed = np.zeros(size), np.zeros(size), 0.0, 0
        for part in parts:
            points = embedding[part].astype(np.float64)
            units = _unit(points)
            has_direction = ~np.isnan(units[:, 0])
            total += points.sum(axis=0)
            unit_total += units[has_direction].sum(axis=0)
            norm_total += np.linalg.norm(points, axis=1).sum()
            directed += has_direction.sum()
        mean[c] = total / len(members)
        direction[c] = _unit(unit_total[None])[0]
        distance = angle = 0.0
        for part in parts:
            points = embedding[part].astype(np.float64)
            distance += _distance(points, mean[c]).sum()
            angle += np.nansum(_angle(_unit(points), direction[c]))
        per_class["intra_class_distance"][c] = distance / len(members)
        per_class["norm_mean"][c] = norm_total / len(members)
        if directed and not np.isnan(direction[c, 0]):
            per_class["intra_class_angle"][c] = angle / directed
    return mean, direction, per_class


def _unit(rows):
    """Return rows scaled to length 1, NaN for a zero row."""
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norm > 0, norm, np.nan)


def _distance(a, b):
    return np.linalg.norm(a - b, axis=-1)


def _angle(a, b):
    """Return the angle in degrees between unit vectors; exact also where their cosine is near 1."""
    return np.degrees(2 * np.arctan2(np.linalg.norm(a - b, axis=-1), np.linalg.norm(a + b, axis=-1)))


def _mean_between(points, measure):
    """Return the mean over pairs of rows that are there."""
    points = points[~np.isnan(points[:, 0])]
    if len(points) < 2:
        return {"unavailable": "geometry: between classes there must be two with members, got fewer."}
    total = sum(measure(points[i + 1 :], points[i]).sum() for i in range(len(points) - 1))
    return float(total / (len(points) * (len(points) - 1) / 2))


def _nearest(points, measure):
    """Return for each row the smallest measure to another, NaN where there is none."""
    found = np.full(len(points), np.nan)
    there = np.flatnonzero(~np.isnan(points[:, 0]))
    for i in there:
        others = there[there != i]
        if len(others):
            found[i] = measure(points[others], points[i]).min()
    return found


def _mean(values, reason):
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else {"unavailable": f"geometry: there is no mean, since {reason}."}


def _ratio(intra, inter):
    for value in (intra, inter):
        if isinstance(value, dict):
            return value
    return (
        intra / inter if inter > 0 else {"unavailable": "geometry: classes must lie apart for a ratio, got one place."}
    )


def _norms(embedding, max_memory_bytes):
    rows = max(1, int(max_memory_bytes // (8 * 2 * embedding.shape[1])))
    parts = [embedding[start : start + rows].astype(np.float64) for start in range(0, len(embedding), rows)]
    return np.concatenate([np.linalg.norm(part, axis=1) for part in parts])
