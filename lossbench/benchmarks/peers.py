"""The same losses of other libraries, each in a process of its own: PyTorch and MXNet do not share one well.

`python -m lossbench.benchmarks.peers LIBRARY` is that process. It reads a JSON list a line from its input: ``["build",
name, batch size, embedding size, classes]`` or ``["steps", count]``, and answers each with a line.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys

# Library -> name of ours -> how the table calls theirs.
PEERS = {
    "pytorch_metric_learning": {
        "plain": "torch Linear + cross_entropy",
        "normface": "NormalizedSoftmaxLoss",
        "am_softmax": "CosFaceLoss",
        "arcface": "ArcFaceLoss",
        "l_softmax": "LargeMarginSoftmaxLoss",
        "a_softmax": "SphereFaceLoss",
    },
    "gluonfr": {
        "l2_softmax": "NormDense + L2Softmax",
        "am_softmax": "NormDense + CosLoss",
        "arcface": "NormDense + ArcLoss",
        "a_softmax": "NormDense + ASoftmax",
        "lgm_diagonal": "LGMLoss",
        "center": "NormDense + CenterLoss",
        "ring": "NormDense + RingLoss",
    },
}
CUBIC = {("gluonfr", "lgm_diagonal")}  # builds arrays of batch x classes x dimensions


class Missing(ImportError):
    """The library is not installed."""


class Peer:
    """A library in its own process, alive until `close`; usable in a `with` statement.

    Raises
    ------
    Missing
        If the library cannot be imported; the message says why.
    """

    def __init__(self, library: str):
        self.library = library
        command = [sys.executable, "-m", "lossbench.benchmarks.peers", library]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        answer = self._answer()
        if answer != "ready":
            self.close()
            raise Missing(answer)

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.library}: its process ended with status {self._process.wait()}.")
        return json.loads(line)

    def _ask(self, *question) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended; `_answer` says so
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        answer = self._answer()
        if answer != "done":
            raise RuntimeError(f"{self.library}: {answer}")

    def new_steps(self, name: str, batch_size: int, embedding_size: int, num_classes: int):
        """Return a function that runs so many steps there; it replaces the one before."""
        self._ask("build", name, batch_size, embedding_size, num_classes)
        return lambda count: self._ask("steps", count)

    def close(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def _torch_steps(name, batch_size, embedding_size, num_classes):
    import torch
    from pytorch_metric_learning import losses

    class Plain(torch.nn.Linear):
        def forward(self, embedding, label):
            return torch.nn.functional.cross_entropy(super().forward(embedding), label)

    if name == "plain":
        loss_function = Plain(embedding_size, num_classes, bias=False)
    else:
        loss_function = getattr(losses, PEERS["pytorch_metric_learning"][name])(num_classes, embedding_size)
    embedding = torch.randn(batch_size, embedding_size, requires_grad=True)
    label = torch.randint(0, num_classes, (batch_size,))
    learned = [embedding, *loss_function.parameters()]
    for tensor in learned:
        tensor.grad = torch.zeros_like(tensor)  # in memory from the start, as MXNet's are

    def steps(count):
        for _ in range(count):
            for tensor in learned:
                tensor.grad = None
            loss_function(embedding, label).backward()

    return steps


def gluonfr_block(name: str, embedding_size: int, num_classes: int):
    """Build the loss of gluonfr that stands beside ours of a name, uninitialized, with the class weights it needs."""
    from gluonfr import loss as losses
    from gluonfr.nn.basic_blocks import NormDense

    from lossbench._mxnet import mx

    class Step(mx.gluon.HybridBlock):
        def __init__(self, loss_function, norm=None, with_embedding=False):
            super().__init__()
            with self.name_scope():
                self.loss_function, self._with_embedding = loss_function, with_embedding
                self.dense = None
                if norm is not None:
                    weight, feature = norm
                    self.dense = NormDense(num_classes, weight, feature, in_units=embedding_size)

        def hybrid_forward(self, F, embedding, label):
            if self.dense is None:
                return self.loss_function(embedding, label)
            logits = self.dense(embedding)
            rest = (embedding,) if self._with_embedding else ()
            return self.loss_function(logits, label, *rest), logits

    blocks = {
        # its bound on alpha is one of the classes' number
        "l2_softmax": lambda: Step(losses.L2Softmax(num_classes, 32, from_normx=True), (False, True)),
        "am_softmax": lambda: Step(losses.CosLoss(num_classes, 0.35, 30), (True, True)),
        "arcface": lambda: Step(losses.ArcLoss(num_classes, easy_margin=False), (True, True)),
        "a_softmax": lambda: Step(losses.ASoftmax(num_classes, 4, 64), (True, True)),
        "lgm_diagonal": lambda: Step(losses.LGMLoss(num_classes, embedding_size, 0.3, 0.1, 0.06)),
        "center": lambda: Step(losses.CenterLoss(num_classes, embedding_size, 0.01), (False, False), True),
        "ring": lambda: Step(losses.RingLoss(0.01), (False, False), True),
    }
    return blocks[name]()


def _gluonfr_steps(name, batch_size, embedding_size, num_classes):
    from lossbench.benchmarks import head_steps

    block = gluonfr_block(name, embedding_size, num_classes)
    block.initialize()
    return head_steps.repeated(block, batch_size, embedding_size, num_classes)


def new_steps(library: str | None, name: str, batch_size: int, embedding_size: int, num_classes: int):
    """Return the steps of a library's loss, or of ours where the library is None, in this process."""
    if library is None:
        from lossbench.benchmarks import head_steps

        return head_steps.new_steps(name, batch_size, embedding_size, num_classes)
    make = {"pytorch_metric_learning": _torch_steps, "gluonfr": _gluonfr_steps}[library]
    return make(name, batch_size, embedding_size, num_classes)


def _importable(library) -> str:
    """Say ``ready``, or why the library cannot be imported."""
    try:
        if library == "gluonfr":
            import gluonfr.loss  # noqa: F401
        else:
            import pytorch_metric_learning.losses  # noqa: F401
    except ImportError as error:
        return " ".join(str(error).split())
    return "ready"


def main() -> None:
    (library,) = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not pass for an answer

    def answer(text):
        answers.write(json.dumps(text) + "\n")
        answers.flush()

    answer(_importable(library))
    steps = None
    for line in sys.stdin:
        what, *arguments = json.loads(line)
        try:
            if what == "build":
                steps = None
                steps = new_steps(library, *arguments)
            else:
                steps(*arguments)
        except Exception as error:
            answer(f"{type(error).__name__}: {error}")
        else:
            answer("done")


if __name__ == "__main__":
    main()
