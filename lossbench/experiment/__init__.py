"""The composition root: the only place that knows every stage and calls them in the order in which data flows."""

from lossbench.data import image_files, propose
from lossbench.data.shared import SharedData
from lossbench.experiment.deployment import Exported, export
from lossbench.experiment.gallery import Gallery
from lossbench.experiment.model import Model
from lossbench.experiment.neighbors import keep_training
from lossbench.experiment.opening import OpenedRun, embed_files, file_outputs, open_run, predict, write_embeddings
from lossbench.experiment.pace import seconds_per_epoch
from lossbench.experiment.picture_source import DrawnRun
from lossbench.experiment.run import Result, describe_groups, run
from lossbench.experiment.similarity import Likeness, compare
from lossbench.experiment.subject import Subject, measure
from lossbench.experiment.training import new_batches, new_trainer

__all__ = [
    "DrawnRun",
    "Exported",
    "Gallery",
    "Likeness",
    "Model",
    "OpenedRun",
    "Result",
    "SharedData",
    "Subject",
    "compare",
    "describe_groups",
    "embed_files",
    "export",
    "file_outputs",
    "image_files",
    "keep_training",
    "measure",
    "new_batches",
    "new_trainer",
    "open_run",
    "predict",
    "propose",
    "run",
    "seconds_per_epoch",
    "write_embeddings",
]
