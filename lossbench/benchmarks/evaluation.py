"""Speed of evaluation: inference beside training, and the search of nearest neighbors."""

from __future__ import annotations

import tempfile
import time

import numpy as np

from lossbench.benchmarks.contest.child import turn
from lossbench.benchmarks.contest.own import Contestant
from lossbench.benchmarks.contest.task import Task, write_images
from lossbench.benchmarks.timing import spread
from lossbench.data import Split
from lossbench.evaluation import neighbors


def measure_inference(*, count=10_000, batch_size=128, seconds=2.0, repetitions=5, progress=lambda: None) -> dict:
    """Images/s of scoring `count` CIFAR images by ResNet-20 beside whole training of it, in turn.

    Returns
    -------
    dict
        `inference` and `training` in images/s and `ratio`, pair by pair: median, min, max and n; `data`; `images`.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, source = write_images("resnet20", folder)
        task = Task("resnet20", "softmax", batch_size, path)
        contestant = Contestant(task)
        images, labels, _, _ = task.arrays()
    split = Split(np.ascontiguousarray(images[:count]), labels[:count])
    rates = {"inference": [], "training": []}
    for round_ in range(repetitions + 1):
        began = time.perf_counter()
        contestant.model.outputs(split)
        scoring = len(split) / (time.perf_counter() - began)
        progress()
        done = turn(contestant, "whole", seconds)
        progress()
        if round_:
            rates["inference"].append(scoring)
            rates["training"].append(done["images"] / done["seconds"])
    ratio = [a / b for a, b in zip(rates["inference"], rates["training"])]
    measured = {name: spread(values) for name, values in rates.items()}
    return {**measured, "ratio": spread(ratio), "data": source, "images": len(split)}


def measure_knn(*, queries=10_000, references=50_000, size=64, k=10, repetitions=3, progress=lambda: None) -> dict:
    """Seconds for naming the class of queries by k-NN among references, normally distributed around ten means.

    Returns
    -------
    dict
        `seconds` (median, min, max, n) and the arguments.
    """
    rng = np.random.default_rng(0)
    means = rng.standard_normal((10, size))
    label = rng.integers(0, 10, references + queries)
    embedding = (means[label] + rng.standard_normal((len(label), size))).astype(np.float32)
    seconds = []
    for _ in range(repetitions):
        began = time.perf_counter()
        neighbors.knn(embedding[:references], label[:references], embedding[references:], k=k)
        seconds.append(time.perf_counter() - began)
        progress()
    return {"seconds": spread(seconds), "queries": queries, "references": references, "size": size, "k": k}
