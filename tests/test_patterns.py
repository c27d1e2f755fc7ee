"""Patterns of configs: found, or refused in time."""

import signal
import threading
import time

import pytest

from lossbench import config, patterns
from lossbench.errors import UserError

ENDLESS = "(.*)*" * 8 + "!"
NAMES = ["backbone.features.0.weight", "head.weight"]


def test_a_pattern_that_never_ends_is_the_users_mistake_and_other_alarms_stay():
    calls = []
    before = signal.signal(signal.SIGALRM, lambda *_: calls.append("alarm"))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        began = time.monotonic()
        with pytest.raises(UserError, match=r"^freeze: pattern must be found, or not, within 0\.5 seconds, got '\("):
            patterns.found(ENDLESS, NAMES, "freeze")
        assert time.monotonic() - began < 5
        time.sleep(0.2)
        assert calls == ["alarm"]
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_patterns_are_found_in_every_thread():
    found = []
    thread = threading.Thread(target=lambda: found.extend(patterns.found("^head", NAMES, "freeze")))
    thread.start()
    thread.join()
    assert found == patterns.found("^head", NAMES, "freeze") == ["head.weight"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"freeze": ["a" * 1001]}, "freeze.0: must have at most 1,000 letters, got 1,001"),
        (
            {"freeze": [ENDLESS], "head": "{name: arcface, loss_weight: 0}"},
            "freeze: must be found, or not, within 0.5 s",
        ),
    ],
)
def test_a_config_with_such_a_pattern_is_one_line(tmp_path, changes, message):
    sections = {"data": "{source: digits}", "backbone": "{name: lenet}", "head": "{name: softmax}", **changes}
    sections |= {"optimizer": "{name: nag, learning_rate: 0.1}", "trainer": "{epochs: 1}"}
    path = tmp_path / "a.yaml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in sections.items()))
    with pytest.raises(config.ConfigError) as caught:
        config.load(path)
    assert message in str(caught.value)
