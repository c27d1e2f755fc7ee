"""Data in memory for several runs of one process."""

from __future__ import annotations

from lossbench import data


class SharedData:
    """Loads like `data.load`; what was loaded last stays in memory, for runs of the same data section and seed.

    Its arrays cannot be written to, so no run can leave anything behind for the next one.
    """

    def __init__(self):
        self._key = self._dataset = None

    def __call__(self, section, seed):
        key = (section.model_dump_json(), seed)
        if key != self._key:
            self._dataset = data.load(section, seed)
            for split in ("train", "validation", "test", "holdout"):
                images = getattr(self._dataset, split)
                if not images.is_streamed:
                    images.images.setflags(write=False)
                images.labels.setflags(write=False)
            self._key = key
        return self._dataset
