"""Holds the imports of the package to its design: stages are strangers, and only `experiment` knows them all."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lossbench

PACKAGE = Path(lossbench.__file__).parent

# what any stage may import; they import no stage
SHARED = {
    *("_mxnet", "_cuda", "_builtins", "_numpy", "_operators", "_waiting", "_gluon", "_cores"),
    *(
        "errors",
        "options",
        "registry",
        "plugins",
        "block",
        "inputs",
        "contract",
        "ops",
        "ahead",
        "atomic",
        "paths",
        "params",
        "param_names",
        "signature",
        "terminal",
        "patterns",
        "locking",
    ),
}
COMPOSERS = {
    "__init__": {"heads", "regularizers"},  # what `from lossbench import ...` offers
    "experiment": "every stage",
    "benchmarks": "every stage",
    "sweep": {"config", "runs", "report", "experiment"},
    "report": {"config", "runs"},
    "cli": {
        "training.communication",
        "console",
        "config",
        "runs",
        "experiment",
        "sweep",
        "benchmarks",
        "export",
        "glyphs",
        "report",
        "plots",
    },
}
TABLES = {  # (room, room whose one table it reads): why
    ("config", "evaluation"): "which methods there are",
    ("config", "plots"): "which pictures there are, and what size of embedding they need",
    ("sweep", "evaluation"): "which method gives the number that is compared",
    ("report", "evaluation"): "what the numbers of a method are called, and whether high is good",
    ("plots", "evaluation"): "what scores and distances are, on arrays",
    ("cli", "evaluation"): "which methods there are, and what they ask",
}
READERS = {"runs": {"config", "training.position"}}  # stages that read what another one wrote
WITHOUT_MXNET = {"config", "evaluation", "plots", "report", "runs"} | SHARED - {
    "_mxnet", "_builtins", "_numpy", "_operators", "_waiting", "_gluon", "_cores", "block", "inputs", "contract", "ops",
}  # fmt: skip


def imported(tree):
    """Yield the dotted name of each module that the source imports, inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{'.' * node.level}{node.module or ''}.{name.name}" for name in node.names)


def violations(package):
    """Return what the files of a package import against the design, as lines `file: reason`."""
    rooms = {path.name.split(".")[0] for path in package.iterdir()}
    found = []
    for path in sorted(package.rglob("*.py")):
        where = path.relative_to(package)
        room = where.parts[0].split(".")[0]
        for name in imported(ast.parse(path.read_text(encoding="utf-8"))):
            reason = complaint(room, name.split("."), rooms)
            if reason:
                found.append(f"{where}: {reason}")
    return found


def complaint(room, name, rooms):
    if name[0] == "":
        return "relative import; write the full name"
    if name[0] == "mxnet" and room != "_mxnet":
        return "imports mxnet itself instead of lossbench._mxnet"
    if name[0] == "importlib" and room not in ("__init__", "_mxnet", "_builtins", "registry", "plugins"):
        return "imports by string"
    if name[0] in ("pickle", "cPickle", "dill", "joblib", "shelve"):
        return f"imports {name[0]}, which loads code from data"
    if name[0] != "lossbench" or name[1] not in rooms or name[1] == room:
        return None
    other = name[1]
    if other in ("_mxnet", "_gluon") and room in WITHOUT_MXNET:
        return "must do without MXNet"
    if other in SHARED or (room, other) in TABLES:
        return None
    allowed = COMPOSERS.get(room, READERS.get(room, set()))
    if other in COMPOSERS and not (isinstance(allowed, set) and other in allowed) and room != "benchmarks":
        return f"imports {other}, which stands above it"
    if allowed == "every stage" or {other, ".".join(name[1:3])} & set(allowed):
        return None
    return f"imports {other}, a stranger"


def test_imports_follow_the_design():
    assert violations(PACKAGE) == []


@pytest.mark.parametrize(
    ("file", "source", "reason"),
    [
        ("training/step.py", "from lossbench.heads import LGM", "imports heads, a stranger"),
        ("heads/lgm.py", "from lossbench import ops, regularizers", "imports regularizers, a stranger"),
        ("heads/lgm.py", "def f():\n    import lossbench.checkpoint", "imports checkpoint, a stranger"),
        ("evaluation/knn.py", "from lossbench._mxnet import mx", "must do without MXNet"),
        ("config/a.py", "from lossbench import _mxnet", "must do without MXNet"),
        ("inference.py", "import mxnet.ndarray as nd", "imports mxnet itself instead of lossbench._mxnet"),
        ("ops.py", "from lossbench.heads.base import Head", "imports heads, a stranger"),
        ("heads/lgm.py", "from .base import Head", "relative import; write the full name"),
        ("training/step.py", "from lossbench.experiment import run", "imports experiment, which stands above it"),
        ("experiment/run.py", "from lossbench.cli import main", "imports cli, which stands above it"),
        ("plots/roc.py", "from lossbench import config", "imports config, a stranger"),
        ("cli.py", "from lossbench.training.step import Trainer", "imports training, a stranger"),
        ("data/cifar.py", "import pickle", "imports pickle, which loads code from data"),
        ("heads/__init__.py", "import importlib", "imports by string"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, source, reason):
    for room in ("cli", "ops", "checkpoint", "inference", "_mxnet"):
        (tmp_path / f"{room}.py").touch()
    for room in ("config", "data", "heads", "regularizers", "evaluation", "experiment", "plots", "training"):
        (tmp_path / room).mkdir()
    assert violations(tmp_path) == []
    (tmp_path / file).write_text(source)
    assert violations(tmp_path) == [f"{file}: {reason}"]


def test_the_rooms_without_mxnet_and_the_command_line_do_not_load_it():
    rooms = [room for room in sorted(WITHOUT_MXNET | {"cli"}) if list(PACKAGE.glob(f"{room}*"))]
    code = "\n".join(f"import lossbench.{room}" for room in rooms) + "\nimport sys; assert 'mxnet' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PACKAGE.parent, timeout=120)


def foreign_private_names(package):
    """Return the uses of private names that the package does not define itself, as lines `file: expression`."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))}
    defined = {path: set(private_definitions(tree)) for path, tree in trees.items()}
    ours = set().union(*defined.values())
    found = []
    for path, tree in trees.items():
        if path.name == "_gluon.py":
            continue
        modules = {name.asname or name.name for node in ast.walk(tree) for name in lossbench_imports(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                owner = ast.unparse(node.value)
                known = ours if owner in {"self", "cls", *modules} else defined[path]
                if node.attr not in known:
                    found.append(f"{path.relative_to(package)}: {ast.unparse(node)}")
    return found


def is_private(name):
    return name.startswith("_") and not name.startswith("__")


def private_definitions(tree):
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = node.name
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            name = node.attr if ast.unparse(node.value) in ("self", "cls") else ""
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            name = node.id
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "object.__setattr__":
            name = node.args[1].value if isinstance(node.args[1], ast.Constant) else ""
        else:
            continue
        if is_private(name):
            yield name


def lossbench_imports(node):
    return node.names if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lossbench") else ()


def test_private_names_of_libraries_stand_in_one_module():
    assert foreign_private_names(PACKAGE) == []


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("parameter._data", ["training/step.py: parameter._data"]),
        ("self._active", ["training/step.py: self._active"]),
        ("super()._alias()", ["training/step.py: super()._alias"]),
        (
            "trainer._optimizer._index_update_count",
            ["training/step.py: trainer._optimizer._index_update_count", "training/step.py: trainer._optimizer"],
        ),
        ("self._own", []),
        ("ops._helper()", []),
    ],
)
def test_a_planted_private_name_is_found(tmp_path, line, found):
    (tmp_path / "training").mkdir()
    (tmp_path / "_gluon.py").write_text("def data(parameter):\n    return parameter._data\n")
    (tmp_path / "ops.py").write_text("def _helper():\n    pass\n")
    step = f"from lossbench import ops\n\nclass Step:\n    def __init__(self):\n        self._own = 1\n        {line}\n"
    (tmp_path / "training" / "step.py").write_text(step)
    assert foreign_private_names(tmp_path) == found


def test_a_module_says_what_it_is_for():
    for path in sorted(PACKAGE.rglob("*.py")):
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path
