"""Does a model notice images that it was not trained on: those of another data set, and attacked ones?"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lossbench.evaluation import checks, classification, likelihood
from lossbench.evaluation.checks import Unavailable
from lossbench.evaluation.method import Method, Value

COUNTERPARTS = {"mnist": "fashion_mnist", "fashion_mnist": "mnist", "cifar10": "cifar100", "cifar100": "cifar10"}
FOREIGN = (*COUNTERPARTS, "digits", "holdout")
"""Whose images may be foreign; the last are the run's own held-out classes."""
EPSILONS = {1: ("0.1", "0.2", "0.3"), 3: ("2/255", "4/255", "8/255")}
SAMPLE_SEED = 0  # the same images for every run, whatever its own seed


def foreign_detected(context) -> dict:
    """How well each score tells the split's images from those of other data sets; the scores are kept as arrays."""
    context.require_known("detection")
    known = scores(context, context.outputs())
    context.keep(**{f"known_{name}": score for name, score in known.items()})

    def one(source):
        images = _foreign_images(context, source)
        found = scores(context, context.outputs_of(images))
        context.keep(**{f"{source}_{name}": score for name, score in found.items()})
        return {name: likelihood.detect(known[name], found[name]) for name in known}

    return {source: checks.attempt(one, source) for source in _foreign_sources(context)}


def attacks_detected(context) -> dict:
    """What the fast gradient sign method does to the accuracy, and how well each score tells attacked images.

    Detection is over the images that are classified rightly when clean: these are the known ones; the foreign ones are
    their attacked versions, all of them, or those alone that changed the class named. The scores are kept as arrays.
    """
    context.require_known("adversarial")
    ids = _sample(len(context.outputs()["label"]), context.options.limit)
    clean = {name: context.outputs()[name][ids] for name in ("embedding", "logits", "label")}
    images, label = context.subject.images(context.split).images[ids], clean["label"]
    known = scores(context, clean)
    right = classification.predict(clean["logits"]) == label
    attacked = context.subject.attack(images, label, context.show)
    measured = {"images": len(ids), "right_when_clean": int(right.sum()), "accuracy_clean": float(right.mean())}
    kept = {f"attacked_{name}": [] for name in known}
    kept["attacked_right"] = []
    epsilons = context.options.epsilon or EPSILONS[3 if images.shape[1] == 3 else 1]
    for epsilon in epsilons:
        outputs = context.outputs_of(attacked(float(Fraction(str(epsilon)))))
        found = scores(context, outputs)
        still_right = classification.predict(outputs["logits"]) == label
        measured[f"epsilon {epsilon}"] = _outcome(known, found, right, still_right)
        kept["attacked_right"].append(still_right)
        for name, score in found.items():
            kept[f"attacked_{name}"].append(score)
    context.keep(
        id=ids,
        epsilon=np.array([float(Fraction(str(epsilon))) for epsilon in epsilons]),
        clean_right=right,
        **{f"clean_{name}": score for name, score in known.items()},
        **{name: np.stack(values) for name, values in kept.items()},
    )
    return measured


def _outcome(known, attacked, right, still_right) -> dict:
    """What one attack did, from the scores of clean and attacked images and which are classified rightly."""
    fooled = right & ~still_right
    return {
        "accuracy": float(still_right.mean()),
        "success_rate": float(fooled.sum() / right.sum()) if right.any() else None,
        "all": {name: likelihood.detect(known[name][right], attacked[name][right]) for name in known},
        "successful": {name: likelihood.detect(known[name][right], attacked[name][fooled]) for name in known},
    }


def scores(context, outputs) -> dict:
    """Every score that the model has to offer, by name, of images whose outputs are given."""
    return likelihood.scores(
        outputs,
        context.outputs("train"),
        metric=context.metric,
        is_density=context.subject.is_density,
        centers=context.subject.centers(),
        max_memory_bytes=context.max_memory_bytes,
    )


def _foreign_sources(context):
    chosen = context.options.foreign
    if chosen:
        return list(dict.fromkeys(chosen))
    source = context.subject.source
    counterpart = COUNTERPARTS.get(source)
    if counterpart is None:
        raise Unavailable(
            f"detection: `foreign` must name a data set, since {source} has no usual counterpart, got none. "
            f"Choose of {', '.join(COUNTERPARTS)}."
        )
    if not context.subject.has_files_of(counterpart):
        raise Unavailable(
            f"detection: the files of {counterpart}, the usual counterpart of {source}, must be on this machine, got "
            f"none. Naming {counterpart} as `foreign` downloads them; any other of {', '.join(COUNTERPARTS)} will do."
        )
    return [counterpart]


def _foreign_images(context, source):
    """The test images of a data set in the form of the run's own."""
    if source == "holdout":
        return context.subject.images(source)
    try:
        foreign = context.subject.foreign_images(source)
    except ValueError as error:
        raise Unavailable(str(error)) from error
    own = {image.tobytes() for image in context.subject.images(context.split).images}
    if np.mean([image.tobytes() in own for image in foreign.images]) > 0.5:
        raise Unavailable(
            f"detection: `foreign` must be another data set than the run's, got the same images ({source})."
        )
    return foreign


def _sample(count, limit):
    """Positions of at most `limit` images, drawn, in rising order."""
    if limit is None or limit >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng([SAMPLE_SEED]).permutation(count)[:limit])


_ANY = ("?*",)  # data sets and scores, attacks
_TOLD_APART = (
    Value("area_under_roc", "ROC area", 1),
    Value("false_positive_rate_at_95_tpr", "FPR95", -1),
    Value("known", "known", unit="count"),
    Value("foreign", "foreign", unit="count"),
)
DETECTION = Method(
    "detection",
    "are images of another data set noticed (--foreign)? ROC area and false positives at 95 % TPR by log density "
    "(L-GM), largest probability, closeness to class means and learned centers",
    foreign_detected,
    _TOLD_APART,
    within=_ANY,
)
ADVERSARIAL = Method(
    "adversarial",
    "accuracy under FGSM attacks (--epsilon, --limit); do the same scores notice attacked images?",
    attacks_detected,
    (
        Value("images", "images", unit="count", is_apart=True),
        Value("right_when_clean", "right when clean", unit="count", is_apart=True),
        Value("accuracy_clean", "accuracy when clean", 1, is_apart=True),
        Value("accuracy", "accuracy", 1),
        Value("success_rate", "success rate", -1),
        *_TOLD_APART,
    ),
    within=_ANY,
)
