"""The data of a trained run: described at once, their images read when a split is first asked for."""

from __future__ import annotations

from lossbench import data
from lossbench.data import foreign
from lossbench.errors import UserError

SPLITS = (*data.PARTS, "holdout")


class RunData:
    """What a `Model` asks of its dataset, by the description that the run keeps.

    A split is read with no more files than it is made of, and held against what the run was trained on.

    Parameters
    ----------
    run : Run
    settings : config.Config
    data_root : path, optional
        What the caller said in place of the config's `data.root`.
    accept_changed_data : bool
        Whether other checksums than those of the training are taken.

    Raises
    ------
    UserError
        The description is damaged; or, where the run keeps none, as runs of earlier versions, its data cannot be read.
    """

    def __init__(self, run, settings, data_root=None, accept_changed_data=False):
        self._run, self._section, self._seed = run, settings.data, settings.seed
        self._is_moved, self._accept = data_root is not None, accept_changed_data
        self._splits = {}
        self.description = None
        if run.data is None:
            self.description = self._load(data.PARTS).description
        else:
            self.description = data.rebuilt(run.data, f"run: {run.path / 'data.json'}")

    def __getattr__(self, name):
        """A split, or what the description says."""
        if name not in SPLITS:
            return getattr(vars(self).get("description"), name)
        if name not in self._splits:
            self._load(data.PARTS if name == "holdout" else (name,))
        return self._splits[name]

    @property
    def is_here(self) -> bool:
        """Whether the files are on this machine, so that reading them downloads nothing."""
        return foreign.is_present(self._section.source, self._section.root)

    def _load(self, parts):
        try:
            found = data.load(self._section, self._seed, parts=parts, known=self.description)
        except UserError as error:
            if self._is_moved or self._section.root is None:
                raise
            raise UserError(
                f"{error} And the data of {self._run.path} must be those that it was trained on. "
                "If the files have moved, name their folder with --data-root."
            ) from error
        is_whole = set(found.parts) >= {"train", "test"}
        self._run.require_data(found.checksums, whole=is_whole, accept=self._accept)
        splits = {name: getattr(found, name) for name in (SPLITS if is_whole else parts)}
        if self.description is not None:
            self._require_fit(found, is_whole)
            if not self._accept:
                self._require_counts(splits)
        self._splits.update(splits)
        return found

    def _require_fit(self, found, is_whole):
        """`UserError` where classes or images are not those that the network knows, accepted or not."""
        known = self.description
        facts = [("images of the form", found.image_shape, known.image_shape)]
        if is_whole:
            facts.append(("the classes", found.all_class_names, known.all_class_names))
        for what, has, wanted in facts:
            if list(has) != list(wanted):
                new, gone = [[str(one) for one in a if one not in b] for a, b in ((has, wanted), (wanted, has))]
                raise UserError(
                    f"run: the data of {self._run.path} must have {what} that it was trained on, by its data.json, got "
                    f"{_some(new or has)} in place of {_some(gone or wanted)}. Name the original data with --data-root."
                )

    def _require_counts(self, splits):
        """`UserError` where there are more or fewer images than there were, though what was read is the same."""
        for name, split in splits.items():
            was = self.description.counts.get(name, len(split))
            if len(split) != was:
                raise UserError(
                    f"run: the data of {self._run.path} must have {was:,} {name} images, as when it was trained, got "
                    f"{len(split):,}. Name the folder of the original files with --data-root, or take these with "
                    "--accept-changed-data."
                )


def _some(values):
    return ", ".join(map(str, values[:5])) + (f" and {len(values) - 5} more" if len(values) > 5 else "")
