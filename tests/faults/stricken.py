"""Trains as `train.py` does and lets a fault strike at one event; run by the tests as a process of its own.

A line of JSON on the standard input is a training, which is a fork of this process: `arguments` of train.py, `fault`,
`kind` and `number` of the event, `size`, and `log`, the file that gets the events of a training without fault. The
answer is a line with `status`, as of `subprocess`, and what was printed as `out` and `err`.
"""

import json
import os
import re
import resource
import signal
import sys
import tempfile

from lossbench import experiment  # noqa: F401  (what a training loads is loaded before the forks)
from lossbench.cli import train
from lossbench.plots import drawing  # noqa: F401

LONGEST = 300  # seconds of one training
AUDITED = {"os.rename": "rename", "os.remove": "removal", "os.rmdir": "removal"}
WRITTEN = {"array": r"\.(npz|params)", "figure": r"\.(png|gif)", "text": r"\.(jsonl?|yaml)"}


def watched(happened):
    """Have `happened(kind, path)` called before each sync, rename and removal, and before a file is written."""

    def hook(event, arguments):
        if event in AUDITED:
            happened(AUDITED[event], arguments[0])
        elif event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wx+"):
            for kind, ending in WRITTEN.items():
                if re.search(ending + r"(\.\d+)?$", os.fsdecode(arguments[0])):
                    happened(kind, arguments[0])

    sync = os.fsync

    def fsync(handle):
        happened("sync", os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    os.fsync = fsync
    sys.addaudithook(hook)


def kill(size):
    os.kill(os.getpid(), signal.SIGKILL)


def cut(size):
    """Have the kernel kill the process in the middle of a file, after that many bytes."""
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def fill(size):
    """Fill the disk of the working folder to the last bytes."""
    with open("ballast", "wb") as ballast:
        state = os.statvfs(ballast.fileno())
        os.posix_fallocate(ballast.fileno(), 0, state.f_bavail * state.f_bsize - size)


def use_up_names(size):
    """Have no further file made on the disk of the working folder."""
    os.makedirs("ballast")
    for number in range(os.statvfs(".").f_ffree):
        os.mknod(f"ballast/{number}")


FAULTS = {"kill": kill, "cut": cut, "fill": fill, "names": use_up_names}


def strike(job):
    seen = {"left": job["number"], "busy": False}

    def happened(kind, path):
        if seen["busy"]:
            return
        seen["busy"] = True
        if job.get("log"):
            with open(job["log"], "a") as log:
                log.write(json.dumps([kind, os.path.basename(os.fsdecode(path))]) + "\n")
        elif kind == job["kind"]:
            seen["left"] -= 1
            if seen["left"] == 0:
                FAULTS[job["fault"]](job.get("size"))
        seen["busy"] = False

    watched(happened)


def answer(job):
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if process == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            status = 70
            signal.alarm(LONGEST)  # ends it where it hangs
            try:
                strike(job)
                status = train.main(job["arguments"], "train.py")
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(status)
        _, status = os.waitpid(process, 0)
        texts = {}
        for name, file in (("out", out), ("err", err)):
            file.seek(0)
            texts[name] = file.read().decode(errors="replace")
        return {"status": os.waitstatus_to_exitcode(status), **texts}


if __name__ == "__main__":
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)
