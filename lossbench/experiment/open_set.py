"""Methods of evaluation that need no trained class: pairs, neighbourhoods, clusters, the shape of the space."""

from __future__ import annotations

from lossbench.evaluation import geometry, pairs, retrieval, roc, verification


def verified(context) -> dict:
    """Are two images of one class? Pairs drawn from the split; the ROC curve and the scores are kept as arrays."""
    outputs = context.outputs()
    first, second, same = pairs.draw(outputs["label"], seed=context.settings.seed)
    score = verification.similarity(
        outputs["embedding"], first, second, context.metric, max_memory_bytes=context.max_memory_bytes
    )
    threshold, false_accept_rate, true_accept_rate = roc.curve(score[same], score[~same])
    context.keep(threshold=threshold, false_accept_rate=false_accept_rate, true_accept_rate=true_accept_rate)
    return verification.verify(score, same)


def retrieved(context) -> dict:
    """Does an image's neighbourhood hold the other images of its class?"""
    outputs = context.outputs()
    return retrieval.retrieve(
        outputs["embedding"], outputs["label"], metric=context.metric, max_memory_bytes=context.max_memory_bytes
    )


def clustered(context) -> dict:
    """Do k-means clusters find the classes?"""
    outputs = context.outputs()
    return retrieval.cluster(outputs["embedding"], outputs["label"], metric=context.metric, seed=context.settings.seed)


def shaped(context) -> dict:
    """Distances, angles and norms of the classes, and the angles of their weights to their means."""
    outputs = context.outputs()
    return geometry.describe(
        outputs["embedding"],
        outputs["label"],
        context.description["prototypes"],
        max_memory_bytes=context.max_memory_bytes,
    )
