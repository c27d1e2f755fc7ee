"""The page of a sweep in headless Chromium: it fits a phone, asks for nothing, and escapes what a stranger wrote."""

import pytest

from lossbench import sweep
from tests.report.test_browser import browser  # noqa: F401  (a fixture)
from tests.sweep import made

HOSTILE = "<script>pwned=1</script>"
SWEEP = f"""\
title: "Three losses {HOSTILE}"
seeds: [0, 1, 2]
baselines: [softmax]
variants:
  softmax: {{config: softmax.yaml}}
  lgm:
    config: lgm.yaml
    overrides:
      head.margin: 0.25
      optimizer.learning_rate: 0.02
      anneal.head.margin: {{kind: linear, start: 0, end: 0.25, epochs: 1}}
  {"a_variant_with_a_long_name_" * 2}: {{config: normface.yaml}}
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    plan = made.plan(folder, SWEEP)
    for number, planned in enumerate(plan.runs()):
        made.finish(folder / "out", planned, {"test": {"accuracy": 0.9 + 0.01 * number}})
    work = sweep.Work(plan, folder / "out")
    (work.out / "lgm" / "seed-2" / "metrics.json").unlink()
    (work.out / "lgm" / "seed-2" / "failed.json").write_text('{"reason": "loss is nan <b>at once</b>"}')
    sweep.write(work.results(), work.out)
    return work.out / "report.html"


def test_it_fits_a_phone_and_asks_for_nothing(browser, page):  # noqa: F811
    for width in (360, 1280):
        browser.open(page, width=width)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.complaints() == []
        assert browser.requests() == [page.as_uri()]
    drawn = browser.evaluate("document.querySelector('svg.differences').getBoundingClientRect().width")
    assert drawn > 300


def test_texts_of_the_drawing_are_readable_on_a_phone(browser, page):  # noqa: F811
    browser.open(page, width=360)
    sizes = browser.evaluate(
        "[...document.querySelectorAll('svg.differences text')].map(text => text.getBoundingClientRect().height)"
    )
    assert min(sizes) > 10


def test_long_names_cover_nothing_on_a_phone(browser, page):  # noqa: F811
    browser.open(page, width=360)
    wide = "[...document.querySelectorAll('tbody th')].filter(cell => cell.scrollWidth > cell.clientWidth).length"
    assert browser.evaluate(wide) == 0
    boxes = browser.evaluate(
        """[...document.querySelectorAll('svg.differences g')].map(row => [...row.querySelectorAll('text')]
        .map(text => text.getBoundingClientRect()).map(box => [box.left, box.right]))"""
    )
    assert len(boxes) == 2
    assert all(0 < label[0] and label[1] < figures[0] and figures[1] < 360 for label, figures in boxes)


def test_every_column_of_the_differences_is_in_sight_and_no_text_is_a_pillar(browser, page):  # noqa: F811
    """What is said of a difference stands in the last column, and settings are long."""
    browser.open(page, width=1280)
    boxes = "[...document.querySelectorAll('.scroll')].map(box => box.scrollWidth - box.clientWidth)"
    assert browser.evaluate(boxes) == [0, 0, 0, 0]
    browser.open(page, width=360)
    cells = "[...document.querySelectorAll('td')].filter(cell => cell.innerText.length > 100)"
    assert 100 < browser.evaluate(f"{cells}.map(cell => cell.clientHeight)[0]") < 250


def test_names_and_reasons_are_text(browser, page):  # noqa: F811
    browser.open(page)
    assert browser.evaluate("window.pwned") is None
    text = browser.evaluate("document.body.innerText")
    assert HOSTILE in text
    assert "failed: loss is nan <b>at once</b>" in text
