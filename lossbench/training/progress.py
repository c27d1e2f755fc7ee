"""What a training shows while it runs: a bar on a terminal, one line an epoch elsewhere, or nothing."""

from __future__ import annotations

import sys
import time

from tqdm import tqdm

from lossbench import terminal

ESTIMATE_AFTER_SECONDS = 10.0


class Progress:
    """Shows a training's position.

    Parameters
    ----------
    mode : str
        `bar`, `lines`, `none`, or `auto`: a bar where the stream is a terminal, else lines.
    epochs : int
        Length of the whole training.
    hint : str, optional
        Said after the first time estimate where that exceeds an hour, such as the name of a shorter config.
    stream : file, default standard error
    """

    def __init__(self, mode: str, epochs: int, hint: str = "", stream=None):
        self._stream = terminal.Lasting(stream or sys.stderr)
        self._mode = mode if mode != "auto" else ("bar" if self._stream.isatty() else "lines")
        self._epochs, self._hint = epochs, hint
        self._bar = None
        self._estimated = False
        self._began = self._first = None

    @property
    def shows_bars(self) -> bool:
        return self._mode == "bar"

    def say(self, text: str) -> None:
        """One line of text, above the bar."""
        if self._mode == "none":
            return
        if self._bar is not None:
            self._bar.clear()
        print(terminal.shown(text), file=self._stream, flush=True)

    def epoch_started(self, position, steps: int, to_come: int) -> None:
        self._began, self._to_come = time.perf_counter(), to_come
        self._first = position.epoch_step
        if self._mode == "bar":
            self._bar = tqdm(
                total=steps,
                initial=position.epoch_step,
                desc=f"epoch {position.epoch}/{self._epochs}",
                unit="step",
                leave=False,
                file=self._stream,
                dynamic_ncols=True,
            )

    def advanced(self, position, fresh: bool) -> None:
        """After a step; `fresh` where the position's sums were just read."""
        done = position.epoch_step - self._first
        spent = time.perf_counter() - self._began
        if not self._estimated and done and (spent > ESTIMATE_AFTER_SECONDS or (fresh and spent > 1)):
            self._estimate(position, spent / done)
        if self._bar is None:
            return
        self._bar.update(1)
        if fresh:
            rate = position.images / max(position.seconds, 1e-9)
            left = self._to_come - position.epoch_step
            self._bar.set_postfix_str(
                f"loss {position.loss_sum / position.images:.4f}, accuracy {position.right / position.images:.4f}, "
                f"{rate:.0f} images/s, {duration(left * position.seconds / position.epoch_step)} left"
            )

    def _estimate(self, position, seconds_per_step):
        self._estimated = True
        seconds = (self._to_come - position.epoch_step) * seconds_per_step
        hint = f" {self._hint}" if self._hint and seconds > 3600 else ""
        self.say(f"Estimated training time: {duration(seconds)}.{hint}")

    def epoch_ended(self, row: dict) -> None:
        self.close()
        shown = [f"epoch {row['epoch']}/{self._epochs}", f"loss {row['loss']:.4f}", f"accuracy {row['accuracy']:.4f}"]
        for key in ("validation_accuracy", "test_accuracy"):
            if key in row:
                shown.append(f"{key.replace('_', ' ')} {row[key]:.4f}")
        shown.append(f"learning rate {row['learning_rate']:.3g}")
        if "log_variance_min" in row:
            shown.append(f"log variance {row['log_variance_min']:.4f} to {row['log_variance_max']:.4f}")
        shown.append(f"{row['images_per_second']:.0f} images/s")
        self.say(", ".join(shown))

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def duration(seconds: float) -> str:
    """A length of time for people.

    Examples
    --------
    >>> [duration(s) for s in (9, 75, 3720, 90000)]
    ['9 s', '1 min 15 s', '1 h 2 min', '25 h 0 min']
    """
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
