"""``predict`` of every head as ONNX: exported, checked, and run."""

import numpy as np
import pytest

from lossbench._mxnet import mx
from tests.heads import cases

onnx = pytest.importorskip("onnx", minversion="1.16")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.filterwarnings("ignore:.*is now deprecated:DeprecationWarning")  # onnx, of what MXNet uses of it
@pytest.mark.parametrize("case", [case for case in cases.CASES if not case.numbers_only], ids=str)
def test_predict_runs_as_onnx(case, rng, tmp_path):
    head = case.build(5, 4)
    head.initialize()
    cases.randomize(head, rng)
    head.export(str(tmp_path / "head"))
    path = str(tmp_path / "head.onnx")
    mx.onnx.export_model(
        str(tmp_path / "head-symbol.json"), str(tmp_path / "head-0000.params"), [(3, 4)], [np.float32], path
    )
    onnx.checker.check_model(path, full_check=True)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    embedding = rng.normal(size=(3, 4)).astype(np.float32)
    embedding[2] = 0
    (logits,) = session.run(None, {session.get_inputs()[0].name: embedding})
    np.testing.assert_allclose(logits, head.predict(mx.nd.array(embedding)).asnumpy(), rtol=1e-5, atol=1e-5)
