"""The package as others meet it: its names, what an installation ships, the pinned requirements, the set-up script."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import lossbench
from lossbench import _mxnet, heads, regularizers
from lossbench._mxnet import mx

ROOT = Path(__file__).resolve().parent.parent
NUMPY = {"3.10": "1.23.5", "3.11": "1.23.5", "3.12": "1.26.4", "3.13": "2.5.5", "3.14": "2.5.5"}
PYTHONS = tuple(NUMPY)
NO_DEPS = {"3.13", "3.14"}  # where MXNet is installed without its dependencies, by the set-up script


def test_heads_and_regularizers_are_reexported():
    public = {
        name: value
        for package in (heads, regularizers)
        for name, value in vars(package).items()
        if isinstance(value, type) and issubclass(value, mx.gluon.HybridBlock)
    }
    assert {*heads.HEADS.values(), *regularizers.REGULARIZERS.values()} <= {*public.values()}
    for name, value in public.items():
        assert getattr(lossbench, name) is value
        assert name in dir(lossbench)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'lossbench' has no attribute 'LGN'"):
        lossbench.LGN  # noqa: B018


@pytest.fixture(scope="module")
def setup_arguments():
    """The literal arguments of setup() in setup.py."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    call = next(node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "setup")
    arguments = {}
    for keyword in call.keywords:
        try:
            arguments[keyword.arg] = ast.literal_eval(keyword.value)
        except ValueError:
            continue
    return arguments


def test_the_command_exists(setup_arguments):
    assert setup_arguments["entry_points"] == {"console_scripts": ["lossbench = lossbench.cli:main"]}
    from lossbench.cli import main

    assert callable(main)


def test_an_installation_ships_every_module_and_works_outside_the_checkout(tmp_path):
    build = [
        sys.executable,
        "setup.py",
        "-q",
        "build",
        "--build-base",
        tmp_path / "base",
        "--build-lib",
        tmp_path / "lib",
    ]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    shipped = {path.relative_to(tmp_path / "lib") for path in tmp_path.glob("lib/**/*") if path.is_file()}
    files = (
        path for path in (ROOT / "lossbench").rglob("*") if path.suffix in (".py", ".css", ".js", ".npz", ".typed")
    )
    source = {path.relative_to(ROOT) for path in files}
    configs = {Path("lossbench") / path.relative_to(ROOT) for path in (ROOT / "configs").rglob("*.yaml")}
    assert Path("lossbench/configs/base/digits.yaml") in configs
    assert shipped == source | configs
    code = "import lossbench.cli; from lossbench import LGM; print(lossbench.__file__, LGM(3, 2).prototypes); "
    code += "from lossbench import config; assert config.load('lgm_digits').name == 'lgm_digits'"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "lib")}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.stdout.startswith(str(tmp_path / "lib" / "lossbench")), done.stderr


def pins(file):
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def pinned(file, python):
    """The versions by name that a requirements file brings to Linux with this Python; each name once."""
    environment = {"python_version": python, "python_full_version": f"{python}.1", "sys_platform": "linux"}
    chosen = [pin for pin in pins(file) if pin.marker is None or pin.marker.evaluate(environment)]
    assert len({pin.name for pin in chosen}) == len(chosen)
    for pin in chosen:
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), pin
    return {canonicalize_name(pin.name): str(pin.specifier)[2:] for pin in chosen}


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("file", "extras"),
    [
        ("requirements.txt", ["cpu"]),
        ("requirements-test.txt", ["cpu", "test", "zoo", "mpi"]),
        ("requirements-docs.txt", ["cpu", "docs"]),
        ("requirements-gpu.txt", ["cu112"]),
    ],
)
def test_the_pins_satisfy_setup_py_on_every_python(setup_arguments, file, extras, python):
    wanted = [
        *setup_arguments["install_requires"],
        *sum((setup_arguments["extras_require"][name] for name in extras), []),
    ]
    versions = pinned(file, python)
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            assert versions[canonicalize_name(requirement.name)] in requirement.specifier
    named = {name for name in versions if name.startswith("mxnet")}
    assert named == (set() if python in NO_DEPS else {"mxnet-cu112" if extras == ["cu112"] else "mxnet"})
    assert versions["numpy"] == NUMPY[python]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("file", ["requirements-test.txt", "requirements-docs.txt", "requirements-gpu.txt"])
def test_the_sets_agree(file, python):
    other = pinned(file, python)
    for name, version in pinned("requirements.txt", python).items():
        assert other.get(name) == version or (name, file) == ("mxnet", "requirements-gpu.txt")


def test_the_container_is_built_from_what_is_there():
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert {"requirements.txt", "requirements-gpu.txt"} == set(re.findall(r"requirements[-\w]*\.txt", text))
    command = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])
    assert command == ["lossbench"]
    stages = re.findall(r"^FROM \S+ AS (\w+)$", text, re.MULTILINE)
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text(encoding="utf-8"))
    assert container["build"]["target"] in stages
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).resolve() == ROOT / "Dockerfile"
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    needed = {"setup.py", "README.md", "LICENSE", "pyproject.toml", "requirements.txt", "lossbench", "configs"}
    assert not needed & set(ignored)


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_the_containers_steps_are_a_shells(tmp_path):
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    steps = [step.replace("\\\n", " ") for step in re.findall(r"^RUN ((?:.*\\\n)*.*)", text, re.MULTILINE)]
    assert len(steps) == 2
    for step in steps:
        subprocess.run(["sh", "-n", "-c", step], check=True, timeout=60)
    refused = steps[1].replace("/opt/lossbench", str(tmp_path))
    done = subprocess.run(
        ["sh", "-c", refused], env={**os.environ, "MXNET": "cu90"}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (1, "MXNET must be cpu or cu112, got cu90\n")


def test_setup_requires_no_mxnet_itself(setup_arguments):
    assert not [line for line in setup_arguments["install_requires"] if line.startswith("mxnet")]
    assert setup_arguments["python_requires"] == ">=3.10,<3.15"


FAKE_PYTHON = """#!/bin/sh
# Answers like the Python {version} that the set-up script asks, installs nothing, and keeps a log.
echo "$*" >>"{log}"
case "$1 $2" in
    "-c "*version_info*) echo {version} ;;
    "-c "*ensurepip*) exit {venv} ;;
    "- "*) cat >/dev/null; printf '{missing}' ;;
    "-m venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip") exit {pip} ;;
esac
"""


class Machine:
    """A checkout with the set-up script on a PATH that holds a few tools and made-up Pythons."""

    def __init__(self, folder):
        self.checkout, self.bin, self.log = folder / "checkout", folder / "bin", folder / "log"
        (self.checkout / ".ci").mkdir(parents=True)
        self.bin.mkdir()
        shutil.copy(ROOT / ".ci" / "setup.sh", self.checkout / ".ci")
        for name in ("setup.py", "requirements.txt", "requirements-test.txt"):
            shutil.copy(ROOT / name, self.checkout)
        for tool in ("sh", "dirname", "cat", "cksum", "tr", "id", "mkdir", "cp"):
            self.add_tool(tool, f'exec {shutil.which(tool)} "$@"')  # no link: writing over it would reach the real one

    def add(self, name, version, *, venv=0, pip=0, missing=""):
        text = FAKE_PYTHON.format(version=version, log=self.log, venv=venv, pip=pip, missing=missing)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def add_tool(self, name, code):
        (self.bin / name).write_text(f"#!{shutil.which('sh')}\n{code}\n")
        (self.bin / name).chmod(0o755)

    def setup(self, *arguments, **environment):
        """Run the script; return (exit status, what it said, what Python was asked to install)."""
        self.log.write_text("")
        command = [str(self.bin / "sh"), ".ci/setup.sh", *arguments]
        settings = {"PATH": str(self.bin), **environment}
        done = subprocess.run(command, cwd=self.checkout, env=settings, capture_output=True, text=True, timeout=60)
        installed = re.findall(r" (?:-r|--no-deps) ((?:requirements|mxnet).*)", self.log.read_text())
        return done.returncode, done.stdout + done.stderr, installed


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_setup_installs_once_until_a_file_changes(machine):
    machine.add("python3", "3.11")
    status, said, installed = machine.setup()
    assert (status, installed) == (0, ["requirements.txt"])
    assert "setup: building .venv with Python 3.11" in said
    assert machine.setup() == (0, "", [])
    assert machine.setup("test")[2] == ["requirements-test.txt"]
    assert machine.setup("test") == (0, "", [])
    with open(machine.checkout / "requirements.txt", "a") as file:
        file.write("# changed\n")
    assert machine.setup("test")[2] == []
    assert machine.setup()[2] == ["requirements.txt"]
    with open(machine.checkout / "setup.py", "a") as file:
        file.write("# changed\n")
    assert machine.setup("test")[2] == ["requirements-test.txt"]


def test_setup_tries_again_after_a_failed_installation(machine):
    machine.add("python3", "3.11", pip=1)
    assert machine.setup()[0] == 1
    machine.add("python3", "3.11")
    shutil.copy(machine.bin / "python3", machine.checkout / ".venv" / "bin" / "python")
    assert machine.setup()[::2] == (0, ["requirements.txt"])


@pytest.mark.parametrize(("version", "alone"), [("3.12", []), ("3.13", ["mxnet==1.9.1"]), ("3.14", ["mxnet==1.9.1"])])
def test_setup_installs_mxnet_without_its_dependencies_where_they_are_not_to_be_had(machine, version, alone):
    machine.add("python3", version)
    assert machine.setup()[::2] == (0, ["requirements.txt", *alone])
    assert machine.setup("test")[2] == ["requirements-test.txt", *alone]


def test_mxnet_is_the_same_release_everywhere(setup_arguments):
    files = (".ci/setup.sh", ".ci/package.sh", "Dockerfile", "docs/install.md", "README.md")
    script = " ".join((ROOT / name).read_text(encoding="utf-8") for name in files)
    assert all("mxnet" in (ROOT / name).read_text(encoding="utf-8") for name in files)
    extras = [str(Requirement(setup_arguments["extras_require"][name][0]).specifier) for name in ("cpu", "cu112")]
    said = re.findall(r"mxnet(?:-cu112)?(==[\d.]+)", f"{script} {_mxnet.CPU_INSTALL} {_mxnet.GPU_INSTALL}")
    assert {*extras, *said} == {"==1.9.1"}


@pytest.mark.parametrize("unfit", ["3.15", "3.9", "2.7"])
def test_setup_looks_further_where_python3_does_not_fit(machine, unfit):
    machine.add("python3", unfit)
    machine.add("python3.10", "3.10")
    status, said, _ = machine.setup()
    assert status == 0
    assert "setup: building .venv with Python 3.10" in said


def test_setup_says_what_to_do_where_no_python_fits(machine):
    machine.add("python3", "3.15")
    status, said, _ = machine.setup()
    assert status == 1
    assert said == (
        "setup: lossbench runs on Python 3.10 to 3.14, and the PATH has none (python3 is 3.15). "
        "Install one, or name it: make train PYTHON=/path/to/python3.13\n"
    )


def test_setup_takes_the_python_it_is_given(machine):
    machine.add("python3", "3.11")
    machine.add("python3.10", "3.10")
    assert "building .venv with Python 3.10" in machine.setup(PYTHON="python3.10")[1]
    assert machine.setup() == (0, "", [])  # what is built stays in use
    assert "building .venv with Python 3.11" in machine.setup(PYTHON="python3")[1]
    machine.add("python4", "4.0")
    for given, version in (("python4", "4.0"), ("nonsense", "does not run")):
        status, said, _ = machine.setup(PYTHON=given)
        assert (status, said) == (1, f"setup: PYTHON must be a Python 3.10 to 3.14, got {given} ({version}).\n")


def test_setup_names_the_package_where_venv_is_missing(machine):
    machine.add("python3", "3.11", venv=1)
    status, said, _ = machine.setup()
    assert status == 1
    assert said == "setup: python3 has no venv module. On Debian or Ubuntu: apt-get install python3.11-venv\n"


MISSING = "libgomp1\\nlibquadmath0\\n"


def test_setup_installs_system_libraries_as_root(machine, tmp_path):
    machine.add("python3", "3.11", missing=MISSING)
    machine.add_tool("id", "echo 0")
    machine.add_tool("apt-get", f'echo "$@" >>{tmp_path}/apt')
    assert machine.setup()[0] == 0
    assert (tmp_path / "apt").read_text().splitlines() == [
        "-qq update",
        "-qq install -y --no-install-recommends libgomp1 libquadmath0",
    ]
    machine.add_tool("apt-get", "exit 100")
    status, said, _ = machine.setup()
    assert status == 1
    assert said.endswith(
        "apt-get could not install what MXNet needs. Bring it with: apt-get install libgomp1 libquadmath0\n"
    )


def test_setup_names_the_command_where_it_may_not_install(machine):
    machine.add("python3", "3.11", missing=MISSING)
    status, said, _ = machine.setup()
    assert status == 1
    assert "sudo dnf install libgomp libquadmath" in said
    machine.add_tool("id", "echo 1000")
    machine.add_tool("apt-get", "exit 100")
    status, said, _ = machine.setup()
    assert status == 1
    assert said == "setup: MXNet needs system libraries. Bring them with: sudo apt-get install libgomp1 libquadmath0\n"


def test_setup_script_checks_what_it_says():
    """The part that looks for system libraries, run by a real Python: none is missing where these tests run."""
    script = (ROOT / ".ci" / "setup.sh").read_text(encoding="utf-8")
    code = re.search(r"<<'END'\n(.*?)\nEND\n", script, re.DOTALL)[1]

    def missing(code):
        return subprocess.run([sys.executable, "-"], input=code, capture_output=True, text=True, check=True).stdout

    assert missing(code) == ""
    assert missing(code.replace("libgomp.so.1", "libabsent.so.1")) == "libgomp1\n"


def test_version_of_the_installed_project():
    installed = {distribution.metadata["Name"] for distribution in metadata.distributions()}
    assert "lossbench" not in installed or metadata.version("lossbench") == lossbench.__version__
