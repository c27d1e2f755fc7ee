"""Every backbone and every head as files: what onnxruntime and plain MXNet compute is what the network computes."""

import json
import re
import runpy
from pathlib import Path

import numpy as np
import pytest

from lossbench import heads
from lossbench._mxnet import mx
from lossbench.backbones import LeNet
from lossbench.errors import UserError
from lossbench.export import OUTPUTS, onnx_format, symbol_format
from lossbench.export.network import INPUT, traced
from tests.heads import cases

onnx = pytest.importorskip("onnx", minversion="1.16")
pytest.importorskip("onnxruntime")

ROOT = Path(__file__).resolve().parents[2]
TOOL = runpy.run_path(str(ROOT / "docs/tools/export.py"))
NORMALIZATION = {"mean": (0.4,), "std": (0.3,)}
NETWORKS = [
    name for name in TOOL["networks"]() if not re.search("^resnet(32|56|110)|iresnet(50|100)|gluoncv resnet18", name)
]
HEADS = [case for case in cases.CASES if not case.numbers_only]


@pytest.fixture(scope="module")
def lenet():
    backbone = LeNet((1, 12, 8), 4)
    backbone.initialize(mx.init.Xavier())
    TOOL["draw"](backbone, np.random.default_rng(0))
    return backbone


def graph(backbone, head, output, input="uint8"):
    shape = backbone.image_shape
    return traced(backbone, head, image_shape=shape, input=input, output=output, **NORMALIZATION)


@pytest.mark.parametrize("case", HEADS, ids=str)
def test_every_head_is_exported(case, lenet, rng):
    head = case.build(5, 4)
    head.initialize()
    cases.randomize(head, rng)
    images = rng.integers(0, 256, (3, 1, 12, 8)).astype(np.uint8)
    for output in OUTPUTS if head.metric == "density" else ("embedding", "logits"):
        assert TOOL["difference"](lenet, head, images, output).share < 2e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_every_backbone_is_exported(name):
    rows = TOOL["differences"](name)
    for output in ("embedding", "logits"):
        *_, found, difference = next(rows)
        assert found == output
        assert difference.share < 2e-5


def test_no_graph_of_ours_has_what_mxnets_own_exporter_turns_round():
    """`1 - parameter` and `1 / parameter`, of which it makes `parameter - 1` and `parameter / 1`."""
    graphs = []
    for name in NETWORKS:
        build, shape = TOOL["networks"]()[name]
        graphs.append(build(image_shape=shape, embedding_size=4)(mx.sym.var(INPUT)))
    graphs += [case.build(5, 4).predict(mx.sym.var(INPUT)) for case in HEADS]
    for one in graphs:
        nodes = json.loads(one.tojson())["nodes"]
        turned = [node for node in nodes if node["op"] in ("_rminus_scalar", "_rdiv_scalar")]
        assert not [node["name"] for node in turned if nodes[node["inputs"][0][0]]["op"] == "null"]


def test_a_file_says_its_opset_and_takes_any_batch(lenet):
    head = cases.CASES[0].build(5, 4)
    head.initialize()
    (content,) = onnx_format.files(graph(lenet, head, "logits"), {"lossbench": "1.2", "ü": [1]}, "a").values()
    model = onnx.load_from_string(content)
    onnx.checker.check_model(model, full_check=True)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 13)]
    assert (model.producer_name, model.producer_version) == ("lossbench", "1.2")
    assert json.loads({p.key: p.value for p in model.metadata_props}["lossbench"]) == {"lossbench": "1.2", "ü": [1]}
    ends = [
        [one.dim_param or one.dim_value for one in end.type.tensor_type.shape.dim]
        for end in (*model.graph.input, *model.graph.output)
    ]
    assert ends == [["batch", 1, 12, 8], ["batch", 5]]
    run = onnx_format.runner({"a": content})
    images = np.random.default_rng(0).integers(0, 256, (70, 1, 12, 8)).astype(np.uint8)
    whole = run(images)
    for count in (1, 2, 69):
        np.testing.assert_allclose(run(images[:count]), whole[:count], atol=1e-5)


def test_the_two_formats_and_three_inputs_agree(lenet, rng):
    head = heads.LGM(5, 4, variance="diagonal")
    head.initialize()
    cases.randomize(head, rng)
    pixels = rng.integers(0, 256, (4, 1, 12, 8)).astype(np.uint8)
    normalized = ((pixels / 255 - 0.4) / 0.3).astype(np.float32)
    fed = {"uint8": pixels, "float32": pixels.astype(np.float32), "normalized": normalized}
    for output in OUTPUTS:
        found = {}
        for form in (onnx_format, symbol_format):
            for input, images in fed.items():
                one = graph(lenet, head, output, input)
                found[form, input] = form.runner(form.files(one, {"lossbench": ""}, "a"))(images)
        first = found[symbol_format, "uint8"]
        assert first.shape == {"embedding": (4, 4), "logits": (4, 5), "log_density": (4,)}[output]
        for each in found.values():
            np.testing.assert_allclose(each, first, rtol=1e-5, atol=1e-5 * np.abs(first).max())


def test_a_density_is_that_of_a_density(lenet):
    head = heads.Softmax(5, 4)
    head.initialize()
    with pytest.raises(UserError, match="`output` must be embedding or logits for Softmax, got log_density"):
        graph(lenet, head, "log_density")


def test_a_network_that_is_no_graph_is_refused(lenet):
    class Looks(mx.gluon.HybridBlock):
        image_shape = (1, 12, 8)

        def hybrid_forward(self, F, x):
            return x.reshape((x.shape[0], -1))

    head = heads.Softmax(5, 96)
    head.initialize()
    with pytest.raises(UserError, match="must be made of MXNet's operators alone.*neither look at shapes or values"):
        graph(Looks(), head, "logits")
