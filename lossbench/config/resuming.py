"""Which options may change when a run goes on: a mark on the option says so, and what then becomes of the run.

Every other option would make another training of it.
"""

from __future__ import annotations

from typing import Any

NEUTRAL: dict[str, Any] = {"resume": "neutral"}
"""Moves no number: a run may go on with another value, and runs that differ in it are repetitions."""
EXTENDS: dict[str, Any] = {"resume": "extends"}
"""Asks for more or for less; what is there stays right."""
REMEASURES: dict[str, Any] = {"resume": "remeasures"}
"""Moves what is measured, but not the training: what is there is measured anew."""


def on_resume(key: str) -> str | None:
    """Return the mark of a dotted key, `neutral`, `extends` or `remeasures`; None where it may not change.

    Examples
    --------
    >>> on_resume("data.workers"), on_resume("trainer.epochs"), on_resume("evaluation.k"), on_resume("head.margin")
    ('neutral', 'extends', 'remeasures', None)
    """
    from lossbench.config.data import DataSection, Sized
    from lossbench.config.evaluation import EvaluationSection
    from lossbench.config.training import TrainerSection

    section, _, option = key.partition(".")
    sections: dict[str, Any] = {"data": DataSection, "trainer": TrainerSection, "evaluation": EvaluationSection}
    fields = {**sections[section].model_fields} if section in sections else {}
    if section == "data":
        fields.update(Sized.model_fields)
    extra = fields[option].json_schema_extra if option in fields else None
    return extra.get("resume") if isinstance(extra, dict) else None
