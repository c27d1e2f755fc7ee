"""The page as a file: what it holds of good, hostile, unfinished and damaged runs, through the real command line."""

import base64
import html.parser
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossbench import config, report
from lossbench.cli.report import main
from lossbench.errors import UserError
from lossbench.report import curves, groups, images
from lossbench.runs import Run, find
from tests.report import made

ROOT = Path(__file__).resolve().parents[2]
VOID = {"meta", "img", "br", "wbr"}


class Reader(html.parser.HTMLParser):
    """Tags, texts and addresses of a page; every element must end where it should."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.addresses, self.open, self.ids = [], [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "action", "data")]
        self.ids += [value for name, value in attributes if name == "id"]
        assert not [name for name, _ in attributes if name.startswith("on") or name == "style"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("script", "style"):
            self.texts.append(data)

    @property
    def text(self):
        return " ".join("".join(self.texts).split())

    def count(self, tag):
        return sum(name == tag for name, _ in self.tags)


def written(tmp_path, *paths, **options):
    report.write(paths, tmp_path / "report.html", **options)
    return Reader((tmp_path / "report.html").read_text(encoding="utf-8"))


def test_seeds_of_one_config_are_one_row_with_mean_and_deviation(tmp_path):
    for seed, accuracy in enumerate((0.98, 0.99, 0.985)):
        made.run(tmp_path / "runs" / "one" / f"seed-{seed}", seed=seed, metrics={"accuracy": accuracy})
    other = made.run(tmp_path / "runs" / "other" / "seed-0", "other", margin=0.25, metrics={"accuracy": 0.97})
    text = (other / "config.yaml").read_text().replace("freeze: []", "freeze: [^head, bias$]")
    (other / "config.yaml").write_text(text.replace("init_from: null", "init_from: x"))
    page = written(tmp_path, tmp_path / "runs")
    assert "98.50 ± 0.50" in page.text
    assert "mnist, seeds 0, 1, 2" in page.text
    assert "4 runs of 2 configs" in page.text
    differences = page.text.partition("Keys whose values differ")[2].partition(": config.yaml")[0]
    assert "head.margin0.50.25" in differences
    assert "freeze[][^head, bias$]" in differences
    assert "init_fromnullx" in differences
    assert "seed" not in differences


def test_the_page_needs_nothing_from_anywhere(tmp_path):
    page = written(tmp_path, made.run(tmp_path / "a", metrics={"accuracy": {"unavailable": "why"}}))
    assert all(address.startswith(("data:image/", "#")) for address in page.addresses), page.addresses
    assert {address[1:] for address in page.addresses if address[0] == "#"} <= set(page.ids)
    assert len(set(page.ids)) == len(page.ids)
    (policy,) = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    assert page.count("link") == 0


def test_headings_and_pictures_are_for_everybody(tmp_path):
    page = written(tmp_path, made.run(tmp_path / "a", metrics={"accuracy": 0.5}))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 or (before, after) == (2, 4) for before, after in zip(levels, levels[1:]))
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all(a.get("aria-label") for t, a in page.tags if t == "svg" and a.get("role") == "img")
    assert all(a.get("scope") in ("col", "row") for t, a in page.tags if t == "th")


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'&amp;</title></style>"


@pytest.mark.parametrize(
    ("epochs", "written"), [(1, ["1", "2"]), (2, ["1", "2"]), (12, ["2", "4", "6", "8", "10", "12"])]
)
def test_ticks_of_epochs_are_whole(epochs, written):
    ((_, drawn),) = curves.panels([("one", [[{"epoch": epoch, "loss": 0.5} for epoch in range(1, epochs + 1)]])])
    assert re.findall(r'text-anchor="middle">([^<]+)<', drawn) == [*written, "epoch"]


@pytest.mark.parametrize("parts", [4, 5])
def test_no_axis_has_a_single_tick_or_too_many(parts):
    generator = np.random.default_rng(0)
    for width in 10 ** generator.uniform(-7, 6, 5000):
        low = generator.uniform(-2, 1) * width * generator.choice([1, 1, 1000])
        values, texts = zip(*curves.ticks(low, low + width, parts))
        assert len(set(texts)) == len(texts)
        assert 2 <= len(values) <= parts + 1
        assert low - 1e-6 * width <= values[0]
        assert values[-1] <= low + width * (1 + 1e-6)


def test_hostile_names_stay_text(tmp_path):
    folder = tmp_path / ("x" + HOSTILE.replace("/", "∕"))
    nested = {HOSTILE: {HOSTILE: 0.5, "reason": {"unavailable": HOSTILE}, "rule": HOSTILE}}
    made.run(folder / "seed-0", metrics=nested, plots=(HOSTILE.replace("/", "∕"),))
    made.run(tmp_path / "y" / "seed-0", metrics={"accuracy": 0.5}, margin=0.1)
    environment = {"versions": {HOSTILE: HOSTILE}, HOSTILE: [HOSTILE], "git": {"commit": HOSTILE}}
    (folder / "seed-0" / "environment.json").write_text(json.dumps(environment))
    rows = (folder / "seed-0" / "history.jsonl").read_text().splitlines()
    changed = [json.dumps({**json.loads(row), f"head.{HOSTILE}": 1.0}) for row in rows]
    (folder / "seed-0" / "history.jsonl").write_text("\n".join(changed))
    page = written(tmp_path, folder, tmp_path / "y", title=HOSTILE)
    assert (page.count("script"), page.count("style"), page.count("title") > 0) == (1, 1, True)
    assert all(a["src"].startswith("data:") for t, a in page.tags if t == "img")
    assert HOSTILE in page.text


def test_a_run_that_is_unfinished_or_damaged_is_named_and_the_others_are_shown(tmp_path, capsys):
    good = made.run(tmp_path / "good", metrics={"accuracy": 0.875})
    unfinished = made.run(tmp_path / "unfinished", "unfinished", epochs=2, rate=0.5)
    stale = made.run(tmp_path / "stale", "stale", rate=0.7, metrics={"accuracy": 0.125})
    with open(stale / "history.jsonl", "a") as file:
        file.write('{"epoch": 4, "step": 40, "loss": 1.0, "accuracy": 0.5}\n')
    (stale / "config.yaml").write_text((stale / "config.yaml").read_text().replace("epochs: 3", "epochs: 9"))
    broken = made.run(tmp_path / "broken")
    (broken / "config.yaml").write_text("head: [")
    torn = made.run(tmp_path / "torn", "torn", rate=0.6, metrics={"accuracy": 0.25})
    (torn / "metrics.json").write_text('{"last": {"epo')
    (torn / "plots" / "embedding-test.png").write_bytes(b"\x89PNG\r\n\x1a\n torn")
    (tmp_path / "empty").mkdir()
    out = tmp_path / "report.html"
    paths = [good, unfinished, stale, broken, torn, tmp_path / "empty"]
    assert main([*map(str, paths), "--out", str(out)], "report.py") == 0
    page = Reader(out.read_text(encoding="utf-8"))
    results = page.text.partition("Test split")[2].partition("Training curves")[0]
    assert "87.50" in results
    assert "12.50" not in results
    assert "25.00" not in results
    problems = page.text.rpartition("Incomplete runs")[2]
    for sentence in (
        "unfinished Unfinished: 2 of 3 epochs; its curves are shown, its metrics are not.",
        "stale Unfinished: 4 of 9 epochs",
        "broken config.yaml cannot be read:",
        "torn metrics.json cannot be read:",
        "empty There is no config.yaml.",
    ):
        assert sentence in problems
    assert "embedding-test.png cannot be read as a picture" in page.text
    errors = capsys.readouterr().err
    assert f"{broken}: config.yaml cannot be read:" in errors
    assert str(good) not in errors


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("metrics.json", "[1]"),
        ("metrics.json", '{"last": 3}'),
        ("metrics.json", '{"last": {"epoch": "x", "test": {"accuracy": 1}}}'),
        ("metrics.json", "[" * 100_000),
        ("metrics.json", "\xff"),
        ("history.jsonl", '{"loss": 1}\n'),
        ("history.jsonl", "3\n"),
        ("history.jsonl", '{"epoch": 1, "loss": "NaN", "seconds": "?", "step": null, "accuracy": null}\n'),
        ("history.jsonl", ""),
        ("environment.json", '{"versions": 3, "git": [], "data": {"checksums": null, "notes": 4}, "cores": null}'),
        ("environment.json", "null"),
        ("config.yaml", "- 1"),
        ("config.yaml", "head: {name: [1]}"),
        ("config.yaml", "\x00"),
    ],
)
def test_no_file_of_a_run_breaks_the_page(tmp_path, file, content):
    made.run(tmp_path / "runs" / "good", metrics={"accuracy": 0.5})
    damaged = made.run(tmp_path / "runs" / "damaged", "damaged", margin=0.1, metrics={"accuracy": 0.5})
    (damaged / file).write_text(content, encoding="latin-1")
    assert "50.00" in written(tmp_path, tmp_path / "runs").text


def test_a_run_whose_evaluation_was_interrupted_shows_no_metrics_and_says_what_is_missing(tmp_path):
    folder = made.run(tmp_path / "run", metrics={"accuracy": 0.875})
    Run(folder).write_plan({"test": ["accuracy", "accuracy_knn"]}, ["norms"])
    page = written(tmp_path, folder)
    assert "87.50" not in page.text
    assert (
        "Not evaluated in full after the last epoch (last test: accuracy_knn; pictures: norms); its curves are shown, "
        "its metrics are not."
    ) in page.text


def test_no_run_at_all_is_the_users_mistake(tmp_path, capsys):
    assert main([str(tmp_path / "nowhere")], "report.py") == 2
    assert main([str(tmp_path), "--out", str(tmp_path / "r.html")], "report.py") == 2
    first, second = capsys.readouterr().err.splitlines()
    assert first == (
        f"run: {tmp_path / 'nowhere'} must be a run folder, or one that holds runs, but there is none. "
        "Name one that train.py wrote."
    )
    assert second.startswith("run: a run that can be read must be among those named, got none.")
    assert not (tmp_path / "r.html").exists()


def test_page_and_numbers_are_two_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    made.run(tmp_path / "seed-0")
    with pytest.raises(SystemExit, match="2"):
        main(["seed-0", "--json", "./report.html"], "report.py")
    assert "argument --json: must be another file than --out, got ./report.html" in capsys.readouterr().err
    assert not (tmp_path / "report.html").exists()


def test_folders_stand_for_the_runs_below_them_each_once_and_in_order(tmp_path):
    for seed in (0, 2, 10):
        made.run(tmp_path / "a" / "one" / f"seed-{seed}", seed=seed)
    assert [path.name for path in find([tmp_path])] == ["seed-0", "seed-2", "seed-10"]
    twice = find([tmp_path / "a" / "one" / "seed-2", tmp_path / "a", tmp_path])
    assert [path.name for path in twice] == ["seed-2", "seed-0", "seed-10"]


def test_runs_on_other_files_are_not_averaged_and_share_no_best(tmp_path):
    """One config names the folder of its images by data.root, which may be another each time."""
    for number, (name, content) in enumerate((("cats", "ab"), ("cats", "ab"), ("faces", "cd"))):
        folder = made.run(tmp_path / name / f"seed-{number}", seed=number, metrics={"accuracy": 0.5 + 0.1 * number})
        environment = {**made.ENVIRONMENT, "data": {"checksums": {"train/": content * 32}, "notes": []}}
        (folder / "environment.json").write_text(json.dumps(environment))
    cats, faces = groups.group([Run(path) for path in find([tmp_path])])
    assert [(each.label, each.seeds) for each in (cats, faces)] == [("cats", [0, 1]), ("faces", [2])]
    assert cats.kind != faces.kind


@pytest.mark.parametrize(
    ("old", "new", "is_alike"),
    [
        ("{source: mnist}", "{source: mnist, batch_size: 64}", True),
        ("{source: mnist}", "{source: mnist, label_noise: 0.2}", True),
        ("{source: mnist}", "{source: mnist, limit: 100}", False),
        ("{source: mnist}", "{source: emnist, part: letters}", False),
    ],
)
def test_the_best_is_sought_among_runs_that_are_judged_by_the_same_images(tmp_path, old, new, is_alike):
    one, other = (made.run(tmp_path / name / "seed-0", name, metrics={"accuracy": 0.5}) for name in ("one", "other"))
    path = other / "config.yaml"
    path.write_text(path.read_text().replace(old, new))
    first, second = groups.group([Run(one), Run(other)])
    assert (first.kind == second.kind) == is_alike


def test_no_run_is_marked_as_better_than_one_on_other_data(tmp_path):
    for name, source, accuracy in (("one", "mnist", 0.5), ("better", "mnist", 0.75), ("other", "digits", 0.99)):
        path = made.run(tmp_path / name / "seed-0", name, metrics={"accuracy": accuracy}) / "config.yaml"
        path.write_text(path.read_text().replace("source: mnist", f"source: {source}"))
    page = written(tmp_path, tmp_path)
    assert re.findall(r"★ ?best ?([\d.]+)", page.text) == ["75.00"]


def test_the_same_seed_twice_is_no_repetition(tmp_path):
    made.run(tmp_path / "a" / "seed-0", epochs=2)
    made.run(tmp_path / "b" / "seed-0", metrics={"accuracy": 0.5})
    made.run(tmp_path / "b" / "seed-1", seed=1, metrics={"accuracy": 0.75})
    page = written(tmp_path, tmp_path)
    assert "62.50 ± 17.68" in page.text
    assert "mnist, seeds 0, 1" in page.text
    assert re.search(r"a/seed-0 Unfinished: .* Left out: the same config and seed as \S+/b/seed-0\.", page.text)


def test_labels_tell_apart_what_has_one_name(tmp_path):
    for folder, margin in (("one", 0.1), ("one-wide", 0.5), ("deep/one", 0.7)):
        made.run(tmp_path / folder / "seed-0", margin=margin)
    made.run(tmp_path / "other" / "seed-0", "other")
    found = groups.group([Run(path) for path in find([tmp_path])])
    labels = {group.runs[0].path.parent.name + str(group.values["head.margin"]): group.label for group in found}
    assert labels["other0.5"] == "other"
    assert labels["one-wide0.5"] == "one-wide"
    assert len(set(labels.values())) == 4


def test_a_name_goes_on_in_the_next_line_between_its_words_and_within_no_number(tmp_path):
    made.run(tmp_path / "one" / "seed-0", "arc-margin0.3491-wd1e-3_ramp")
    written(tmp_path, tmp_path)
    assert "arc-<wbr>margin0.3491-<wbr>wd1e-3_<wbr>ramp" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_what_changes_no_number_separates_no_seeds(tmp_path):
    made.run(tmp_path / "a" / "seed-0")
    other = made.run(tmp_path / "a" / "seed-1", seed=1)
    text = (other / "config.yaml").read_text()
    (other / "config.yaml").write_text(text.replace("epochs: 3", "epochs: 3, progress: none, tensorboard: true"))
    assert len(groups.group([Run(path) for path in find([tmp_path])])) == 1
    (other / "config.yaml").write_text(text.replace("epochs: 3", "epochs: 3, accumulate_steps: 2"))
    assert len(groups.group([Run(path) for path in find([tmp_path])])) == 2


def test_a_head_of_ones_own_is_no_mistake(tmp_path):
    folder = made.run(tmp_path / "own", metrics={"accuracy": 0.75})
    text = (folder / "config.yaml").read_text()
    (folder / "config.yaml").write_text(re.sub("head: .*", "head: {name: mine, temperature: 2}", text))
    page = written(tmp_path, folder)
    assert "75.00" in page.text
    assert "temperature: 2" in page.text


def test_the_commands_repeat_a_run_as_a_shell_reads_them(tmp_path):
    folder = made.run(tmp_path / "it's $HOME; <b>" / "seed-0", metrics={"accuracy": 0.5})
    page = written(tmp_path, folder)
    (block,) = [text for text in page.texts if text.startswith("python scripts/train.py")]
    words = shlex.split(block.splitlines()[0])
    assert words == [
        "python", "scripts/train.py", "--config", str(folder / "config.yaml"), "--run-dir", f"{folder}-again",
    ]  # fmt: skip
    assert config.load(words[3]) == Run(folder).load_config()


def test_the_numbers_go_to_a_file_as_well(tmp_path):
    for seed in (0, 1):
        made.run(tmp_path / f"seed-{seed}", seed=seed, metrics={"roc": {"auc": 0.5 + seed / 4}})
    written(tmp_path, tmp_path, json_path=tmp_path / "numbers.json")
    (row,) = json.loads((tmp_path / "numbers.json").read_text())
    assert row == {
        "group": "one", "seeds": [0, 1], "checkpoint": "last", "split": "test", "metric": "roc.auc", "mean": 0.625,
        "standard_deviation": pytest.approx(0.125 * 2**0.5), "n": 2, "unavailable": [],
    }  # fmt: skip


def test_pictures_are_scaled_and_animations_stay_animations(tmp_path):
    made.picture((2000, 1000)).save(tmp_path / "wide.png")
    found = images.embedded(tmp_path / "wide.png", 500)
    assert (found["width"], found["height"]) == (500, 250)
    assert decoded(found["src"]).size == (500, 250)
    made.picture((100, 20_000)).save(tmp_path / "high.png")
    assert decoded(images.embedded(tmp_path / "high.png")["src"]).size == (82, 16_383)
    frames = [made.picture((200, 100), number) for number in (0, 20, 40)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[100, 200, 300], loop=0)
    for width in (200, 100):
        found = images.embedded(tmp_path / "a.gif", width)
        moving = decoded(found["src"])
        assert (moving.format, moving.n_frames, moving.size) == ("GIF", 3, (width, width // 2))
        assert moving.info["loop"] == 0
        times = []
        for number in range(3):
            moving.seek(number)
            times.append(moving.info["duration"])
        assert times == [100, 200, 300]
        assert decoded(found["still"]).size == (width, width // 2)


def test_a_picture_of_a_stranger_starts_no_program_and_takes_no_memory(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) print\n")
    with pytest.raises(UserError, match=r"^a\.png cannot be read as a picture: cannot identify image file"):
        images.embedded(path)
    Image.new("1", (10_000, 10_000)).save(path)
    with pytest.raises(UserError, match=r"1 x 10000 x 10000 pixels are more than 67,108,864$"):
        images.embedded(path)
    for kind in (os.mkfifo, os.mkdir):
        path.unlink()
        kind(path)
        with pytest.raises(UserError, match=r"^a\.png cannot be read as a picture: "):
            images.embedded(path)


def decoded(address):
    return Image.open(io.BytesIO(base64.b64decode(address.partition("base64,")[2])))


def test_the_script_writes_a_page_without_mxnet(tmp_path):
    made.run(tmp_path / "runs" / "one" / "seed-0", metrics={"accuracy": 0.5})
    done = subprocess.run(
        [sys.executable, "-X", "importtime", ROOT / "scripts" / "report.py", "runs", "--title", "A title"],
        cwd=tmp_path, capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout == "report.html: 1 run of 1 config\n"
    assert not re.search(r"\| +mxnet$", done.stderr, re.MULTILINE)
    page = Reader((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert page.text.startswith("A title")
    assert "python scripts/eval.py --run runs/one/seed-0" in page.text
