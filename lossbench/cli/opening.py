"""How the commands that use one trained run open it."""

from __future__ import annotations

from lossbench import console


def open_run(options):
    """Return the run that the arguments of `console.add_run` name; says what of it is damaged and was passed over."""
    from lossbench import experiment

    opened = experiment.open_run(options.run, options.checkpoint, **console.opening(options))
    for sentence in opened.damage:
        console.note(f"Passed over: {sentence}")
    for sentence in [*opened.run.changed_plugins(), *opened.run.read_all().problems]:
        console.note(f"{options.run}: {sentence}")
    return opened
