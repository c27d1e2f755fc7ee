"""The documentation, taken at its word: its code runs, its tables are what the functions return, its links exist."""

import csv
import json
import math
import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lossbench import _cores, config
from lossbench.evaluation import METHODS
from lossbench.heads import bounds
from lossbench.plots import pictures
from lossbench.sweep import statistics
from lossbench.training import schedules

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(p for p in (ROOT / "docs").rglob("*.md") if "_build" not in p.parts)]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def blocks_of(markdown):
    return re.findall(r"^```python\n(.*?)^```$", markdown, re.DOTALL | re.MULTILINE)


def python_blocks(name):
    return blocks_of(text(name))


def run(code, folder):
    """Run code as a user who pasted it into a file, in an empty folder; return what it prints."""
    (folder / "pasted.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "pasted.py"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900)
    said = [line for line in done.stderr.splitlines() if "MXNet start using engine" not in line]
    assert (done.returncode, said) == (0, []), done.stderr
    return done.stdout


# Sections of the page on an own model that say of themselves what stands before them; the others make one program.
ALONE = {
    "Half precision": (_cores.has_bfloat16(), r"\[\('bfloat16', .*\)\] <class 'numpy.float32'>"),
    "A backbone of gluoncv": (find_spec("gluoncv") is not None, r"\(4, 512, 1, 1\) \(4, 10\)"),
}


def own_model(*headings):
    """Python blocks of the page by heading: those of these sections, or all but what stands alone."""
    sections = {section.partition("\n")[0]: section for section in text("docs/own_model.md").split("\n## ")}
    chosen = headings or [heading for heading in sections if heading not in ALONE]
    return "\n\n".join(block for heading in chosen for block in blocks_of(sections[heading]))


def test_the_example_of_an_own_model_reaches_what_its_page_says(tmp_path):
    printed = run(own_model(), tmp_path)
    page = " ".join(text("docs/own_model.md").split())
    claims = re.search(r"(\d+\.\d) % of the 360 held-out ones.* and (\d+\.\d) % by the nearest center", page)
    found = re.search(r"accuracy (0\.\d+)\naccuracy by the nearest center (0\.\d+)", printed)
    for claim, value in zip(claims.groups(), found.groups()):
        # Two images of the 360: another processor rounds otherwise.
        assert 100 * float(value) == pytest.approx(float(claim), abs=0.6)
    losses = [float(value) for value in re.findall(r"^epoch \d+: loss (\S+),", printed, re.MULTILINE)]
    assert len(losses) == 10
    assert losses[-1] < 0.2 < losses[0]
    assert float(re.search(r"accuracy on other classes (\S+)", printed)[1]) > 0.9
    assert float(re.search(r"validation accuracy (\S+)", printed)[1]) > 0.9
    assert {path.name for path in tmp_path.iterdir()} == {
        "pasted.py",
        *(f"{name}.params" for name in ("backbone", "head", "center")),
    }


@pytest.mark.parametrize("heading", ALONE)
def test_sections_of_the_own_model_that_stand_alone_run(heading, tmp_path):
    is_possible, printed = ALONE[heading]
    if not is_possible:
        pytest.skip("this processor has no bfloat16 instructions, or gluoncv is not installed")
    assert re.search(printed, run(own_model("Data and blocks", heading), tmp_path))


@pytest.fixture
def shell(tmp_path):
    """Runs a command line in an empty folder, where `lossbench` is the command."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    main = "import sys; from lossbench.cli import main; sys.exit(main())"
    (bin_folder / "lossbench").write_text(f"#!/bin/sh\nexec {sys.executable} -c '{main}' \"$@\"\n")
    (bin_folder / "lossbench").chmod(0o755)
    paths = {"PATH": f"{bin_folder}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(command):
        return subprocess.run(
            command, shell=True, cwd=tmp_path, env=os.environ | paths, capture_output=True, text=True, timeout=900
        )

    return run


def console_lines(name):
    return re.findall(r"^\$ (.*)$", text(name), re.MULTILINE)


def accuracies(output):
    """The accuracies on test images after the last epoch, as a training prints them."""
    (lines,) = re.findall(r"^last .*, test:\n((?:  .*\n)+)", output, re.MULTILINE)
    return {name: float(value) for name, value in re.findall(r"^  (\w+) +(0\.\d+)$", lines, re.MULTILINE)}


@pytest.mark.slow
def test_the_five_minutes_print_what_their_page_says(shell, tmp_path):
    said = {}
    for command in console_lines("docs/start.md"):
        done = shell(command)
        assert done.returncode == 0, (command, done.stderr)
        said[command] = done.stdout
    assert len(said) == 11
    trained, mistake = re.findall(r"^```text\n(.*?)^```$", text("docs/start.md"), re.DOTALL | re.MULTILINE)
    assert shell("lossbench train lgm_digits head.margn=0").stderr == mistake
    found = accuracies(said["lossbench train lgm_digits"])
    for name, value in accuracies(trained).items():
        assert found[name] == pytest.approx(value, abs=2.01 / 359), name  # two images: another processor
    assert (tmp_path / "report.html").exists()


@pytest.mark.slow
def test_the_walk_through_of_own_images_works(shell, tmp_path):
    run("\n".join(python_blocks("docs/own_images.md")), tmp_path)
    commands = console_lines("docs/own_images.md")
    assert len(commands) == 13
    for command in commands:
        done = shell(command)
        assert done.returncode == 0, (command, done.stderr)
        if "--top" in command:
            named = [line.split()[1] for line in done.stdout.splitlines()[1:]]
            assert named.count("digit-3") > 0.8 * len(named) > 20
    assert (tmp_path / "runs/photos/quick-0/data.png").exists()


# What the reader of a short snippet is told to have already.
PRELUDE = """
import lossbench
import mxnet as mx
backbone = mx.gluon.nn.Dense({size})
backbone.initialize()
image, label = mx.nd.random.normal(shape=(8, 5)), mx.nd.arange(8) % 10
"""


def test_the_readmes_snippet_runs(tmp_path):
    (block,) = python_blocks("README.md")
    size = re.search(r"embedding_size=(\d+)", block)[1]
    checks = "\nassert logits.shape == (8, 10) and loss.shape == (8,)\nassert head.mean.grad().asnumpy().any()\n"
    run(PRELUDE.format(size=size) + block + checks, tmp_path)


# Page: what stands before its short snippet, and what is to be true after it.
SNIPPETS = {
    "docs/likelihood.md": (
        """
import numpy as np
import lossbench
import mxnet as mx
from lossbench import Softmax
backbone, head = mx.gluon.nn.HybridSequential(), Softmax(10, 16)
backbone.add(mx.gluon.nn.Conv2D(4, 3), mx.gluon.nn.Dense(16))
backbone.initialize()
head.initialize()
backbone(mx.nd.zeros((1, 1, 28, 28)))
images, labels = np.random.default_rng(0).integers(0, 256, (8, 1, 28, 28), np.uint8), np.arange(8)
""",
        "assert attacked.shape == images.shape and 0 < abs(attacked - images / 255.0).max() <= 0.101",
    ),
    "docs/own_loss.md": ("", "import pathlib\nassert pathlib.Path('runs/mine/metrics.json').exists()"),
    "docs/performance.md": ("", "assert GlobalMean and PReLU and LGM(10, 2)"),
    "docs/plots.md": (
        """
import numpy as np
label = np.arange(50) % 5
centers = np.random.default_rng(0).normal(0, 5, (5, 2))
embedding = centers[label] + np.random.default_rng(1).normal(0, 1, (50, 2))
""",
        "import pathlib, sys\nassert pathlib.Path('mine.svg').stat().st_size > 5000 and 'mxnet' not in sys.modules",
    ),
}


@pytest.mark.parametrize("page", SNIPPETS)
def test_a_short_snippet_runs(page, shell, tmp_path):
    before, after = SNIPPETS[page]
    if page == "docs/own_loss.md":
        assert shell("lossbench new-loss my_loss").returncode == 0
    (block,) = python_blocks(page)
    program = f"{before}\n{block}\n{after}\n"
    (tmp_path / "pasted.py").write_text(program, encoding="utf-8")
    done = shell(f"{sys.executable} pasted.py")
    assert done.returncode == 0, done.stderr


COMMAND = re.compile(r"^(?:    |\$ )(?:mpiexec .*?)?(?:python .*?scripts/(\w+)\.py|lossbench)((?: .*)?)$", re.MULTILINE)
SYNOPSIS = re.compile(r"(?<!['\"=])\[[-\w]")  # brackets around what may be left out


def commands():
    """(command, arguments) of every command line on the pages, but for those with the plugin of docs/own_loss.md."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
        for script, rest in COMMAND.findall(page.read_text(encoding="utf-8")):
            name, *arguments = [*([script] if script else []), *shlex.split(rest, comments=True)]
            if not SYNOPSIS.search(rest) and "my_loss.py" not in arguments:
                yield name, arguments


class Parsed(BaseException):
    """The arguments are those that the command knows."""


def test_every_command_on_the_pages_is_one(monkeypatch):
    from lossbench import console
    from lossbench.cli import COMMANDS
    from lossbench.config import shipped

    def stop(parse):
        def parsed(*arguments):
            raise Parsed(parse(*arguments))

        return parsed

    for name in ("parse_args", "parse_intermixed_args"):
        monkeypatch.setattr(console._Parser, name, stop(getattr(console._Parser, name)))
    found = list(commands())
    assert len(found) > 90
    for name, arguments in found:
        with pytest.raises(Parsed) as caught:
            COMMANDS[name].main(arguments, f"lossbench {name}")
        options = caught.value.args[0]
        if name == "train":
            named = [*([options.config] if options.config else []), *options.overrides]
            if named[0] in shipped.names() or (ROOT / named[0]).is_file():
                config.load(named[0] if named[0] in shipped.names() else ROOT / named[0], named[1:])


def test_pages_with_python_are_run():
    run_elsewhere = {"README.md", "docs/own_model.md", "docs/own_images.md", "docs/deploy.md"}
    assert {str(page.relative_to(ROOT)) for page in PAGES if python_blocks(page.relative_to(ROOT))} == {
        *SNIPPETS,
        *run_elsewhere,
    }


def yaml_blocks(name):
    return re.findall(r"^```yaml\n(.*?)^```$", text(name), re.DOTALL | re.MULTILINE)


def test_the_blocks_of_configs_on_the_page_of_trainings_are_configs(tmp_path):
    blocks = yaml_blocks("docs/training.md")
    assert len(blocks) == 2
    for k, block in enumerate(blocks):
        file = tmp_path / f"{k}.yaml"
        base = "lgm_digits" if "likelihood" in block or "mean" in block else "softmax_digits"
        if "head.scale" in block:
            block = re.sub(r".*head\.scale.*\n", "", block)  # of another loss
        file.write_text(f"base: {ROOT / 'configs' / base}.yaml\n{block}", encoding="utf-8")
        assert config.load(file).trainer.epochs == 20


def test_the_blocks_on_the_page_of_sweeps_are_a_sweep(tmp_path):
    from lossbench.config import sweep

    file = tmp_path / "mine.yaml"
    file.write_text("".join(yaml_blocks("docs/sweeps.md")).replace("baselines: [softmax]\n", ""), encoding="utf-8")
    loaded = sweep.load(file)
    assert [name for name, _, _ in loaded.expanded()] == ["softmax", "lgm", "scales-scale8", "scales-scale16"]
    assert loaded.tune.trials == 20


@every_page
def test_python_blocks_are_python(page):
    for block in python_blocks(page.relative_to(ROOT)):
        compile(block, page.name, "exec")


@every_page
def test_links_and_pictures_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text(encoding="utf-8")), target


def anchors(markdown):
    """GitHub's names of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", markdown, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@every_page
def test_scripts_and_configs_that_are_named_exist(page):
    content = page.read_text(encoding="utf-8")
    for name in re.findall(r"\b((?:scripts|configs)/[\w/]+\.(?:py|yaml))\b", content):
        assert (ROOT / name).exists(), name


def rows(heading):
    """The table below a heading of docs/losses.md, as lists of cells."""
    section = text("docs/losses.md").split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert table
    return table


def number(cell):
    """A cell's number: 85,000 or 3.5e-07."""
    return float(cell.replace(",", ""))


def rounds_to(cell, value):
    """Whether a value, written with as many digits as the cell, is the cell."""
    digits = len(cell.partition(".")[2].partition("e")[0])
    exponent = math.floor(math.log10(abs(value))) if "e" in cell else 0
    return number(cell) == pytest.approx(value, abs=0.5001 * 10 ** (exponent - digits))


def test_the_table_of_scales_is_that_of_the_bounds():
    margins = (0.0, 0.0, 0.35, 1 - math.cos(0.5))
    probabilities = (0.9, 0.99, 0.9, 0.9)
    table = rows("### Scale")
    assert [number(row[0]) for row in table] == [10, 100, 1000, 85000]
    for classes, guessing, *scales, l2 in table:
        count = int(number(classes))
        assert rounds_to(guessing, math.log(count))
        for cell, margin, probability in zip(scales, margins, probabilities):
            exact = math.log((count - 1) * probability / (1 - probability)) / (count / (count - 1) - margin)
            assert bounds.lowest_loss(count, count, exact, margin) == pytest.approx(-math.log(probability))
            assert rounds_to(cell, exact), (classes, cell, exact)
        assert rounds_to(l2, math.log(0.9 * (count - 2) / 0.1))


def test_the_table_of_two_dimensions_is_that_of_the_bounds():
    table = rows("### Two dimensions")
    assert [number(row[0]) for row in table] == [5, 10, 20, 100]
    for classes, separation, arc, additive, *floors in table:
        count = int(number(classes))
        angle = bounds.separation(count, 2)
        assert rounds_to(separation, math.degrees(angle))
        assert rounds_to(arc, angle)
        assert rounds_to(additive, 1 - math.cos(angle))
        for cell, scale in zip(floors, (10, 30)):
            assert rounds_to(cell, bounds.lowest_loss(count, 2, scale)), (classes, cell)


def test_every_loss_has_a_section_a_formula_and_a_figure():
    from lossbench.heads import HEADS
    from lossbench.regularizers import REGULARIZERS

    sections = [*text("docs/losses.md").split("\n## "), *text("docs/loss_reference.md").split("\n## ")]
    for name, block in {**HEADS, **REGULARIZERS}.items():
        own = [section for section in sections if f"`{name}`" in section and f"`{block.__name__}`" in section]
        assert own, name
        assert any("```math" in section and f"(images/{block.config_name}.png)" in section for section in own), name


@pytest.mark.parametrize(("page", "tool"), [("loss_reference", "losses"), ("config_keys", "config_keys")])
def test_the_references_of_losses_and_keys_are_what_the_classes_say(page, tool, tmp_path):
    made = tmp_path / "page.md"
    subprocess.run([sys.executable, ROOT / f"docs/tools/{tool}.py", "--out", made], check=True, timeout=100)
    assert text(f"docs/{page}.md") == made.read_text(encoding="utf-8"), f"run python docs/tools/{tool}.py"


def test_every_method_of_evaluation_and_its_numbers_are_explained():
    pages = text("docs/evaluation.md") + text("docs/likelihood.md")
    for method in METHODS.values():
        for name in (method.name, *(value.name for value in method.values)):
            assert f"`{name.rstrip('*')}" in pages, (method.name, name)


def test_every_picture_is_explained():
    headings = re.findall(r"^## (.*)$", text("docs/plots.md"), re.MULTILINE)
    explained = {kind for heading in headings for kind in heading.split(", ")}
    assert set(pictures.KINDS) <= explained
    after = re.search(r"At the end of training the cheap kinds are drawn: (.*?)\n\n", text("docs/plots.md"), re.DOTALL)
    assert set(re.findall(r"`([\w-]+)`", after[1])) == set(pictures.after_training(2))


def test_the_recipes_of_annealing_are_configs():
    section = text("docs/losses.md").split("## Annealing\n", 1)[1].split("```yaml", 1)[1].split("```", 1)[0]
    recipes = re.findall(r"^  (head\.(\w+): \{.*\})", section, re.MULTILINE)
    assert len(recipes) == 9
    names = {"margin": "lgm", "likelihood_weight": "lgm", "beta": "l_softmax", "scale": "normface"}
    beta = {"inverse_power": {2500: 120, 10_000: 0.41}, "exponential": {460: 1}}
    for recipe, value in recipes:
        settings = config.load(
            ROOT / "configs/softmax_mnist.yaml", [f"head={{name: {names[value]}}}", f"anneal={{{recipe}}}"]
        )
        moved = schedules.annealed(468, **settings.anneal[f"head.{value}"].model_dump())
        assert moved(0) != moved(100_000)
        kind = re.search(r"kind: (\w+)", recipe)[1]
        if value == "beta" and "floor" not in recipe:
            for step, expected in beta[kind].items():
                assert moved(step) == pytest.approx(expected, rel=0.03)


def words(name):
    return " ".join(text(name).split())


# A figure that a page borrows, and the page that has it from what a command printed.
BORROWED = [
    *(
        (page, figure, "docs/results/glyphs_tuned/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("81.00", "80.41", "79.71", "79.02", "78.67", "75.54", "71.07")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/glyphs_tuned/README.md")
        for figure in (
            "+9.93",
            "+4.47",
            "+8.19 to +11.66",
            "+4.16 to +6.75",
            "−13.30 to −6.51",
            "−18.23 to −10.52",
            "93.97",
            "92.43",
            "92.84",
            "92.57",
            "92.39",
            "92.04",
            "89.09",
            "55.62",
        )
    ),
    *(
        (page, figure, "docs/results/glyphs/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("85.62", "78.48", "67.71")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/glyphs/README.md")
        for figure in ("+14.60", "+12.89 to +16.31", "+4.68 to +9.60", "−16.02 to −5.53", "94.23", "62.56")
    ),
    *(
        ("README.md", figure, f"docs/results/{sweep}/README.md")
        for sweep, figures in {
            "digits": ("98.42 ± 0.32", "96.84 ± 0.70", "−0.42 to +3.58"),
            "lgm_cifar10": ("87.29 ± 0.21", "87.33 ± 0.18", "−0.04", "−0.18 to +0.10"),
            "lgm_mnist": (
                "99.16 ± 0.07",
                "98.78 ± 0.12",
                "+0.24 to +0.52",
                "99.65 ± 0.03",
                "99.37 ± 0.04",
                "+0.21 to +0.33",
            ),
            "glyphs_tuned": ("81.00 ± 1.17", "71.07 ± 2.09", "+8.19 to +11.66", "61.17 ± 4.48", "−13.30 to −6.51"),
            "glyphs": ("85.62 ± 0.95", "71.02 ± 2.18", "+12.89 to +16.31"),
        }.items()
        for figure in figures
    ),
    ("docs/results/README.md", "61.17", "docs/results/glyphs_tuned/README.md"),
    ("docs/losses.md", "93.97", "docs/results/glyphs_tuned/README.md"),
    *(
        (page, figure, "docs/results/glyphs_lgm/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("80.38", "69.92")
    ),
    *((page, "10.46", "docs/results/glyphs_lgm/README.md") for page in ("README.md", "docs/which_loss.md")),
    *(
        (page, figure, "docs/results/l_softmax_mnist/README.md")
        for page in ("docs/which_loss.md", "docs/coming_from.md")
        for figure in ("99.38", "99.39", "99.60", "99.62")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/l_softmax_mnist/README.md")
        for figure in ("+0.23", "+0.24", "+0.22", "−0.03 to +0.06", "−0.05 to +0.04")
    ),
    ("docs/results/README.md", "0.18 to +0.31", "docs/results/l_softmax_mnist/README.md"),
    *(
        (page, figure, "docs/results/lgm_cifar10_long/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("90.48", "90.47", "−0.55 to +0.57", "91.91", "91.96")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/lgm_cifar10_long/README.md")
        for figure in ("90.45", "90.09", "+0.02 to +0.70", "−0.02 to +0.74", "0.031")
    ),
    *(
        ("docs/coming_from.md", figure, "docs/results/lgm_cifar10_long/README.md")
        for figure in ("90.48 ± 0.25", "91.91")
    ),
    *(
        (page, figure, "docs/results/glyphs_best/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("80.60", "79.93", "79.58", "77.40")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/glyphs_variance/README.md")
        for figure in ("80.38", "74.29", "2.31")
    ),
    *(
        (page, "6.09", "docs/results/glyphs_variance/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
    ),
    *(
        (page, figure, "docs/results/lgm_variance_mnist/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("96.71", "0.56", "0.37", "0.75", "0.023")
    ),
    ("docs/which_loss.md", "−0.05 to +0.23", "docs/results/lgm_variance_mnist/README.md"),
    ("README.md", "98.42 ± 0.32", "docs/results/digits/README.md"),
    ("README.md", "96.84 ± 0.70", "docs/results/digits/README.md"),
    ("README.md", "+1.58", "docs/results/digits/README.md"),
    ("README.md", "99.21", "docs/losses.md"),
    *(
        (page, figure, "docs/results/lgm_mnist/README.md")
        for page in ("README.md", "docs/which_loss.md")
        for figure in ("99.16", "98.78", "99.65", "99.37")
    ),
    *(
        (page, figure, "docs/results/lgm_mnist/README.md")
        for page in ("README.md", "docs/which_loss.md", "docs/results/README.md")
        for figure in ("+0.38", "+0.27")
    ),
    *(
        ("docs/coming_from.md", figure, "docs/results/lgm_mnist/README.md")
        for figure in ("99.16 ± 0.07", "98.78 ± 0.12", "99.65 ± 0.03")
    ),
    *(
        (page, figure, "docs/results/lgm_cifar10/README.md")
        for page in ("README.md", "docs/which_loss.md")
        for figure in ("87.29", "87.33")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/lgm_cifar10/README.md")
        for figure in ("87.06", "−0.18 to +0.10", "+0.05 to +0.41")
    ),
    *(
        (page, figure, "docs/results/lgm_cifar10_choice/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("86.68", "86.50", "87.26", "87.16", "87.08")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/center_mnist/README.md")
        for figure in ("99.06", "98.80", "+0.26", "99.01")
    ),
    ("docs/results/README.md", "+0.26", "docs/results/center_mnist/README.md"),
    *(
        ("docs/coming_from.md", figure, "docs/results/center_mnist/README.md")
        for figure in ("98.80 ± 0.12", "98.79 ± 0.13", "99.06 ± 0.07", "99.07 ± 0.08", "99.01 ± 0.07", "99.02 ± 0.05")
    ),
    *(
        ("docs/faq.md", figure, "docs/coming_from.md")
        for figure in (
            "97.79, 97.27, 97.30",
            "97.68",
            "98.62, 98.64, 98.76, 98.77",
            "98.67",
            "79.20, 85.15, 18.46",
            "19.69",
            "19.70",
            "86.11, 87.53, 19.78, 85.65",
            "19.90",
            "86.76",
            "87.03",
        )
    ),
    *(
        ("docs/results/README.md", figure, "docs/results/softmax_study/README.md")
        for figure in ("93.07 ± 9.93", "98.69 ± 0.07", "98.71 ± 0.18", "88.82 ± 0.64", "44.44 ± 34.52")
    ),
    *(
        (page, figure, "docs/results/noise_margin_large/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("1.56", "1.19", "1.92", "0.031", "85.58", "87.14")
    ),
    *(
        (page, figure, "docs/results/noise_margin_mnist/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in (
            "0.31",
            "0.91",
            "0.75",
            "1.06",
            "2.05",
            "1.65",
            "2.46",
            "7.39",
            "6.65",
            "8.12",
            "93.25",
            "5.91",
            "5.19",
            "6.62",
            "15.86",
            "39.14",
        )
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/noise_margin_mnist/README.md")
        for figure in (
            *("77.63", "78.63", "80.58", "61.50", "61.44", "55.17", "58.06", "62.94", "66.22"),
            *("99.96", "99.90", "99.48", "99.97", "99.88", "99.18", "99.80", "99.47", "98.14"),
            *("13.87", "10.27", "17.48", "4.34", "0.24", "8.45", "0.062", "+2.25", "−2.77", "+7.27"),
        )
    ),
    *(
        (page, figure, "docs/results/noise_margin/README.md")
        for page in ("docs/which_loss.md", "docs/results/README.md")
        for figure in ("17.44", "23.81")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/noise_margin/README.md")
        for figure in ("9.53", "−7.56 to −5.19", "+5.83 to +9.98", "95.36", "95.18", "91.64", "3.72", "3.08", "4.36")
    ),
    *(
        ("docs/which_loss.md", figure, "docs/results/noise_margin_shares/README.md")
        for figure in (
            *("8.00", "6.77", "96.18", "90.75", "96.48", "91.35", "93.00", "87.92"),
            *("3.18", "2.32", "4.05", "2.83", "1.57", "4.10", "0.023"),
        )
    ),
    *(
        ("docs/results/README.md", figure, "docs/results/noise_margin_shares/README.md")
        for figure in ("17.12", "25.12", "10.58", "17.34")
    ),
    *(("docs/coming_from.md", figure, "docs/losses.md") for figure in ("98.65", "99.10")),
    *(("README.md", figure, "docs/performance.md") for figure in ("1069", "1728", "301", "804")),
    *(("docs/faq.md", figure, "docs/performance.md") for figure in ("1069", "804")),
    ("docs/coming_from.md", "1.27", "docs/performance.md"),
]


@pytest.mark.parametrize(("page", "figure", "source"), BORROWED)
def test_a_borrowed_figure_is_that_of_its_source(page, figure, source):
    assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", words(page))
    assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", words(source))


def margin_gains(sweeps, shares, page, metric="accuracy"):
    """ArcFace's differences by baseline and data set, in points; each share's row must stand in the page."""
    tables = {
        table["data_set"]: table
        for name in sweeps
        for table in json.loads(text(f"docs/results/{name}/results.json"))["tables"]
        if table["metric"] == metric
    }
    gains = {}
    for name, share in shares.items():
        means = {each["variant"]: f"{100 * each['mean']:.2f}" for each in tables[name]["variants"]}
        pairs = {(each["variant"], each["baseline"]): each for each in tables[name]["comparisons"]}
        row = [share, *(means[loss] for loss in ("softmax", "normface", "arcface"))]
        for baseline in ("normface", "softmax"):
            pair = pairs["arcface", baseline]
            gains[baseline, name] = [100 * pair["differences"][seed] for seed in sorted(pair["differences"])]
            low, high = (signed(100 * bound) for bound in pair["t_interval"])
            p = f", p {pair['p_holm']:.2g}" if pair["p_holm"] < 0.05 else ""
            row.append(f"{signed(100 * pair['mean'])} ({low} to {high}){p}")
        assert f"| {' | '.join(row)} |" in page
    return gains


def assert_said(page, values, sentence):
    interval, p = statistics.t_interval(values), statistics.sign_flip_p(values)
    assert sentence.format(np.mean(values), interval.low, interval.high, p).replace("-", "\N{MINUS SIGN}") in page


def test_what_a_margin_is_worth_with_wrong_labels_is_that_of_the_sweeps():
    page = " ".join(text("docs/which_loss.md").split())
    shares = {"clean": "none", "tenth": "a tenth", "noise": "a fifth", "two_fifths": "two fifths"}
    gains = margin_gains(("noise_margin", "noise_margin_shares"), shares, page)
    normface, softmax = (
        np.polyfit([0, 1, 2, 4], [gains[loss, name] for name in shares], 1)[0] for loss in ("normface", "softmax")
    )
    assert_said(page, normface, "{:.2f} points for each tenth of them ({:.2f} to {:.2f}, exact p {:.1g};")
    assert_said(page, softmax, "({:.2f} for each tenth, {:.2f} to +{:.2f})")
    both = np.subtract(gains["normface", "two_fifths"], gains["normface", "tenth"])
    assert_said(page, both, "{:.2f} points more than a tenth ({:.2f} to {:.2f}, exact p {:.2g})")


def test_what_a_margin_is_worth_on_mnist_is_that_of_the_sweep():
    page = " ".join(text("docs/which_loss.md").split())
    shares = {"clean": "none", "tenth": "a tenth", "noise": "a fifth", "two_fifths": "two fifths"}
    gains = margin_gains(("noise_margin_mnist",), shares, page)
    for more, less, sentence in (
        ("tenth", "clean", "{:.2f} points more with a tenth of them wrong than with none ({:.2f} to {:.2f})"),
        ("noise", "tenth", "{:.2f} points more with a fifth than with a tenth ({:.2f} to {:.2f})"),
        (
            "two_fifths",
            "noise",
            "{:.2f} points more with two fifths than with a fifth ({:.2f} to {:.2f}), exact p {:.1g} each",
        ),
    ):
        difference = np.subtract(gains["normface", more], gains["normface", less])
        assert f"{statistics.sign_flip_p(difference):.1g}" == "0.008"
        assert_said(page, difference, sentence)


@pytest.mark.parametrize(
    ("sweep", "data", "shares"),
    [
        ("noise_margin_shares", "Fashion-MNIST", {"tenth": "a tenth", "two_fifths": "two fifths"}),
        ("noise_margin_mnist", "MNIST", {"tenth": "a tenth", "noise": "a fifth", "two_fifths": "two fifths"}),
    ],
)
def test_how_many_wrong_labels_are_learned_by_heart_is_that_of_the_sweep(sweep, data, shares):
    page = " ".join(text("docs/which_loss.md").split())
    shares = {name: f"{data}, {share}" for name, share in shares.items()}
    margin_gains((sweep,), shares, page, "memorization.memorized")


def signed(value):
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")


def test_the_table_of_the_study_holds_every_setting_with_its_accuracy():
    with (ROOT / "docs" / "results" / "softmax_study" / "runs.csv").open(newline="") as file:
        runs = [run for run in csv.DictReader(file) if run["seed"] == "0"]
    expected = {}
    for run in runs:
        accuracy = f"{100 * float(run['last.test.accuracy']):.2f}" if run["state"] == "finished" else "–"
        expected.setdefault(run["variant"], []).append(accuracy)
    rows = re.findall(r"^\| `([\w.-]+)` \| \S+ \| (\S+) \| \S+ \| (\S+) \|$", text("docs/coming_from.md"), re.MULTILINE)
    assert {name: list(accuracies) for name, *accuracies in rows} == expected


def test_the_page_has_every_seed_of_the_settings_of_the_study_that_were_trained_again():
    with (ROOT / "docs" / "results" / "softmax_study" / "runs.csv").open(newline="") as file:
        runs = [run for run in csv.DictReader(file) if run["state"] == "finished"]
    expected = {}
    for run in sorted(runs, key=lambda run: int(run["seed"])):
        data_sets = expected.setdefault(run["variant"], {"mnist": [], "fashion_mnist": []})
        data_sets[run["data_set"]].append(f"{100 * float(run['last.test.accuracy']):.2f}")
    again = {
        name: tuple(", ".join(accuracies) for accuracies in data_sets.values())
        for name, data_sets in expected.items()
        if max(map(len, data_sets.values())) > 1
    }
    assert again
    rows = re.findall(r"^\| `([\w.-]+)` \| ([\d., ]+) \| ([\d., ]+) \|$", text("docs/coming_from.md"), re.MULTILINE)
    assert {name: tuple(accuracies) for name, *accuracies in rows} == again


@pytest.mark.parametrize(
    ("run", "epoch", "figure"),
    [
        ("fashion_mnist/normface-scale20", 10, "87.7"),
        ("fashion_mnist/normface-scale50", 10, "79.6"),
        ("fashion_mnist/normfeature-scale50", 10, "85.2"),
        ("fashion_mnist/am-margin0.3", 10, "80.7"),
        ("fashion_mnist/softmax", 10, "95.0"),
        ("mnist/normface-scale50", 3, "89.3"),
        ("mnist/normface-scale50", 4, "15.2"),
        ("fashion_mnist/normface-scale50", 2, "59.2"),
        ("fashion_mnist/normface-scale50", 4, "48.6"),
        ("mnist/normface-clipped-scale50", 4, "95.0"),
        ("mnist/normface-scale5", 1, "66.5"),
        ("mnist/normface-scale5", 3, "31.5"),
    ],
)
def test_training_accuracies_of_the_study_are_those_of_its_runs(run, epoch, figure):
    history = text(f"docs/results/softmax_study/{run}/seed-0/history.jsonl")
    assert f"{100 * json.loads(history.splitlines()[epoch - 1])['accuracy']:.1f}" == figure
    assert figure in words("docs/coming_from.md")


def test_make_train_is_said_to_reach_what_the_five_minutes_show():
    (claimed,) = re.findall(r"trains L-GM on embedded digits: .* (\d+\.\d+) % of the test images", text("README.md"))
    assert float(claimed) == pytest.approx(100 * accuracies(text("docs/start.md"))["accuracy"], abs=0.006)
    floor = text("configs/lgm_digits.yaml")
    assert f"(seed 0: {claimed})" in floor


def test_single_trainings_are_those_that_their_configs_state():
    said = 0
    for config_name, _, accuracy, *_ in rows("## Single trainings"):
        name = re.match(r"`(\w+)`", config_name)
        stated = name and re.search(r"epochs=12 \(seed 0: ([\d.]+)\)", text(f"configs/{name[1]}.yaml"))
        if stated:
            assert accuracy == stated[1], config_name
            said += 1
    assert said >= 4


def test_the_overview_names_as_many_losses_as_it_draws():
    sys.path.insert(0, str(ROOT / "docs/tools"))
    try:
        import figures
    finally:
        sys.path.pop(0)
    (count,) = re.findall(r"against the angle, for (\w+) losses\]", text("docs/losses.md"))
    assert count == {3: "three", 4: "four", 5: "five"}[len(figures.OVERVIEW)]


def test_the_readme_fits_on_a_screen_or_two():
    assert len(text("README.md").splitlines()) < 100
