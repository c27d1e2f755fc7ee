"""Threads wait asleep while others use the cores, and awake else; no bit of a result follows from it."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lossbench import _waiting
from lossbench._mxnet import mx

ROOT = Path(__file__).resolve().parent.parent
needs_libgomp = pytest.mark.skipif(_waiting.loaded_libgomp() is None, reason="MXNet runs without libgomp here")
SPINNING = """
import ctypes, os, time
from lossbench import _waiting
from lossbench._mxnet import mx
gomp = _waiting.loaded_libgomp()
crowd = _waiting.Crowd(gomp)

def spent():
    began = time.process_time()
    for _ in range(60):
        gomp.GOMP_parallel(ctypes.CDLL(None).getpid, None, 2, 0)
        time.sleep(0.02)
    return time.process_time() - began

def threads():
    return len(os.listdir("/proc/self/task"))

gomp.GOMP_parallel(ctypes.CDLL(None).getpid, None, 2, 0)
awake, few = spent(), threads()
crowd.hold()
time.sleep(0.3)
asleep, many = spent(), threads()
crowd.release()
time.sleep(0.3)
print(awake, asleep, spent(), few, many, threads())
"""


def python(code, **environment):
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        if name not in environment:
            settings.pop(name, None)
    done = subprocess.run([sys.executable, "-c", code], env=settings, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@needs_libgomp
def test_a_crowd_lets_the_threads_that_wait_fall_asleep():
    # Spins as they are by default, said here so that the process does not watch the load.
    *seconds, few, many, after = map(float, python(SPINNING, OMP_NUM_THREADS="2", GOMP_SPINCOUNT="300000"))
    awake, asleep, again = seconds
    assert asleep < 0.5 * min(awake, again)
    assert few == after < many


class Held(_waiting.Crowd):
    """Notes what it is asked for."""

    def __init__(self):
        self.asked = []

    def hold(self):
        self.asked.append("hold")

    def release(self):
        self.asked.append("release")


@pytest.mark.parametrize(
    ("idle", "own", "asked"),
    [(0, 1, "hold"), (0.95, 1.0, "release"), (0.86, 1.0, None), (1.95, 0.0, "release"), (0.7, 1.0, "hold")],
)
def test_others_on_our_cores_decide(idle, own, asked):
    """In a second of two cores; between a twentieth and a tenth of them, all stays as it is."""
    crowd = Held()
    _waiting._watch(crowd, iter([_waiting.Look(0, 0, 0, 2), _waiting.Look(1, idle, own, 2)]))
    assert crowd.asked == ([asked] if asked else [])


def test_a_look_counts_the_cores_of_this_process(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 3})
    lines = [
        "cpu  9 9 9 999 9 0 0 0 0 0",
        *(f"cpu{n} 1 2 3 {100 * (n + 1)} {n} 0 0 0 0 0" for n in range(12)),
        "intr 5",
    ]
    (tmp_path / "stat").write_text("\n".join(lines) + "\n")
    seen = _waiting.look(tmp_path / "stat")
    assert (seen.idle * os.sysconf("SC_CLK_TCK"), seen.cores) == (200 + 1 + 400 + 3, 2)


def test_busy_processes_are_seen():
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in os.sched_getaffinity(0)]
    try:
        time.sleep(0.5)
        looks = _waiting._looks()
        before, after = next(looks), next(looks)
        assert after.wall - before.wall >= _waiting.INTERVAL
        assert _waiting.used_by_others(before, after) > 0.5
    finally:
        for process in busy:
            process.kill()
            process.wait()


WATCHING = """
import threading
from lossbench._mxnet import mx
print(*sorted(thread.name for thread in threading.enumerate() if thread.name == "lossbench-waiting"))
"""


@needs_libgomp
@pytest.mark.parametrize(
    ("chosen", "watching"),
    [
        ({"OMP_NUM_THREADS": "2"}, ["lossbench-waiting"]),
        ({"OMP_NUM_THREADS": "1"}, []),
        ({"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}, []),
        ({"OMP_NUM_THREADS": "2", "GOMP_SPINCOUNT": "10"}, []),
    ],
)
def test_it_is_watched_unless_the_user_chose(chosen, watching):
    assert python(WATCHING, **chosen) == watching


@needs_libgomp
def test_a_result_is_the_same_bit_for_bit_whatever_the_waiting(rng):
    x, weight = (mx.nd.array(rng.standard_normal(shape)) for shape in ((16, 8, 16, 16), (8, 8, 3, 3)))
    weight.attach_grad()

    def gradient():
        with mx.autograd.record():
            y = mx.nd.Convolution(x, weight, kernel=(3, 3), num_filter=8, no_bias=True)
        y.backward()
        return weight.grad.asnumpy().tobytes()

    expected, crowd, finished = gradient(), _waiting.Crowd(_waiting.loaded_libgomp()), threading.Event()

    def toggle():
        while not finished.is_set():
            crowd.hold()
            time.sleep(0.002)
            crowd.release()
            time.sleep(0.002)

    toggling = threading.Thread(target=toggle)
    toggling.start()
    try:
        assert all(gradient() == expected for _ in range(100))
    finally:
        finished.set()
        toggling.join()
