"""Which pictures belong to a run."""

from __future__ import annotations

from lossbench import plots


def of(model, history) -> dict:
    """Name -> function that draws: training curves, and for two-dimensional embeddings these and the decision regions.

    Parameters
    ----------
    model : Model
        With the parameters to show.
    history : list of dict
        Rows of the history.
    """
    name, description = model.settings.name, model.description()
    drawn = {"training": lambda: plots.training_curves(history, title=f"{name}: training")}
    if model.backbone.embedding_size != 2:
        return drawn
    names = model.dataset.class_names
    directions = None if description["metric"] == "density" or "centers" in description else True
    for split in ("train", "test"):
        outputs = model.outputs(model.images(split))
        points = outputs["embedding"], outputs["label"]
        drawn[f"embedding-{split}"] = lambda points=points, split=split: plots.scatter(
            *points, description, title=f"{name}: {split} embeddings", class_names=names, directions=directions
        )
    drawn["decisions-test"] = lambda: plots.decision_regions(
        description["score"], *points, title=f"{name}: decision regions, test images", class_names=names
    )
    return drawn
