"""The page in headless Chromium: it renders, sorts, fits a phone, is readable in the dark, and asks for nothing."""

import json
import os

import pytest

from lossbench import report
from tests.report import made
from tests.report.browser import CHROMIUM, Browser

HOSTILE = "<img src=x onerror=pwned=1><script>pwned=1</script>"
REASON = "centers: `description` must hold learned class centers, got none."
WHY_NOT = "needs Chromium (Debian: apt-get install chromium)"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Three configs, one with two seeds, one with hostile names, wide tables, a folded split and an animation."""
    folder = tmp_path_factory.mktemp("report")
    wide = {f"tar_at_far_1e-{k}": 0.9 for k in range(1, 8)}
    for seed, accuracy in enumerate((0.99, 0.98)):
        metrics = {"accuracy": accuracy, "accuracy_centers": 0.9, "verification": wide}
        made.run(folder / "runs" / "softmax" / f"seed-{seed}", "softmax", seed, metrics)
    metrics = {"accuracy": 0.5, "accuracy_centers": {"unavailable": REASON}, HOSTILE: {HOSTILE: 0.25}}
    second = made.run(folder / "runs" / f"arcface{HOSTILE.replace('/', '')}", "arcface", 0, metrics)
    text = (second / "config.yaml").read_text()
    (second / "config.yaml").write_text(text.replace("head: {name: lgm", f"head: {{name: own, {'long' * 10}: 1"))
    third = made.run(folder / "runs" / "lgm", "lgm", 0, {"accuracy": 0.995, "accuracy_centers": 0.096}, rate=0.05)
    held = json.loads((third / "metrics.json").read_text())
    held["last"]["validation"] = {"accuracy": 0.9, "accuracy_knn": {"unavailable": REASON}}
    (third / "metrics.json").write_text(json.dumps(held))
    frames = [made.picture((120, 90), number) for number in (0, 20, 40)]
    frames[0].save(third / "plots" / "epochs.gif", save_all=True, append_images=frames[1:], duration=40, loop=0)
    report.write([folder / "runs"], folder / "report.html", title=f"Three losses {HOSTILE}")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    if CHROMIUM is None and os.environ.get("CI"):
        pytest.fail(f"{WHY_NOT}; .ci/run should have brought it")
    if CHROMIUM is None:
        pytest.skip(WHY_NOT)
    browser = Browser(tmp_path_factory.mktemp("profile"))
    yield browser
    browser.close()


def order(browser):
    """Names of the first table's rows, from the top."""
    return browser.evaluate(
        "[...document.querySelector('table tbody').rows].map(row => row.querySelector('.name').innerText)"
    )


def sorts(browser):
    return browser.evaluate("[...document.querySelectorAll('table')[0].tHead.rows[0].cells].map(head => head.ariaSort)")


def test_it_renders_without_a_complaint_or_a_request(browser, page):
    browser.open(page)
    assert browser.evaluate("document.querySelector('h1').innerText") == f"Three losses {HOSTILE}"
    assert browser.evaluate("document.querySelectorAll('svg.curves polyline').length") > 0
    browser.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true; })")
    loaded = browser.evaluate(
        "Promise.all([...document.images].map(image => { image.loading = 'eager'; return image.decode(); }))"
        ".then(() => [...document.images].map(image => image.naturalWidth))"
    )
    assert loaded
    assert set(loaded) == {120}
    assert browser.evaluate("typeof pwned") == "undefined"
    assert browser.complaints() == []
    assert browser.requests() == [page.resolve().as_uri()]


def test_a_press_on_a_heading_sorts_and_a_second_turns_round(browser, page):
    browser.open(page)
    assert len(order(browser)) == 3
    head = "table.sortable thead th:nth-child(3) button"  # accuracy by logits, the higher the better
    browser.click(head)
    assert order(browser) == ["lgm", "softmax", "arcface"]
    assert sorts(browser) == ["none", "none", "descending", "none"]
    browser.click(head)
    assert order(browser) == ["arcface", "softmax", "lgm"]
    assert sorts(browser) == ["none", "none", "ascending", "none"]
    browser.click("table.sortable thead th:nth-child(1) button")
    assert order(browser) == ["arcface", "lgm", "softmax"]
    assert sorts(browser) == ["ascending", "none", "none", "none"]
    assert browser.complaints() == []


def test_rows_without_a_value_stay_last(browser, page):
    browser.open(page)
    head = "table.sortable thead th:nth-child(4) button"  # by centers, which one run does not have
    browser.click(head)
    assert order(browser) == ["softmax", "lgm", "arcface"]
    browser.click(head)
    assert order(browser) == ["lgm", "softmax", "arcface"]


def test_the_keyboard_sorts_too(browser, page):
    browser.open(page)
    browser.evaluate("document.querySelector('table.sortable thead th:nth-child(2) button').focus()")
    browser.press("Tab", 9)
    assert browser.evaluate("document.activeElement.innerText").startswith("logits")
    browser.press("Enter", 13, "\r")
    assert order(browser) == ["lgm", "softmax", "arcface"]
    browser.press(" ", 32, " ")
    assert order(browser) == ["arcface", "softmax", "lgm"]


def test_the_best_is_marked_by_more_than_color(browser, page):
    browser.open(page)
    best = browser.evaluate(
        "[...document.querySelectorAll('table')[0].querySelectorAll('td.best')].map(cell => cell.textContent)"
    )
    assert [text.replace("\xa0", " ") for text in best] == ["★best 99.50 ± 0.71", "★best 90.00 ± 0.00"]
    weights = browser.evaluate(
        "[...document.querySelectorAll('td .mean')].map(e => [!!e.closest('.best'), getComputedStyle(e).fontWeight])"
    )
    assert {weight for is_best, weight in weights if is_best} == {"700"}
    assert {weight for is_best, weight in weights if not is_best} == {"400"}


def test_a_reason_is_said_on_hover_and_in_words_where_a_tap_leads(browser, page):
    browser.open(page, width=360, height=760)
    assert browser.evaluate("document.querySelector('td a').title") == REASON
    browser.click("td a")
    target = browser.evaluate("document.querySelector(':target').innerText")
    assert target == REASON


@pytest.mark.parametrize("width", [320, 360, 768, 1280])
def test_only_tables_scroll_sideways(browser, page, width):
    browser.open(page, width=width, height=760)
    browser.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true; })")
    assert browser.evaluate("document.documentElement.scrollWidth") <= width
    boxes = browser.evaluate("[...document.querySelectorAll('.scroll')].map(box => [box.scrollWidth, box.clientWidth])")
    assert all(visible <= width for _, visible in boxes)
    over = browser.evaluate(
        "[...document.querySelectorAll('.scroll th:first-child > *')].filter(e => e.getBoundingClientRect().right > "
        "e.parentElement.getBoundingClientRect().right + 1).map(e => e.innerText)"
    )
    assert over == []  # no name lies over the next column
    assert width > 400 or any(whole > visible for whole, visible in boxes)


def test_the_first_column_stays_while_a_table_scrolls(browser, page):
    browser.open(page, width=360, height=760)
    left, moved = browser.evaluate(
        """(box => { box.scrollLeft = 150; const cells = box.querySelector('tbody tr').cells;
        return [cells[0].getBoundingClientRect().left - box.getBoundingClientRect().left,
                cells[1].getBoundingClientRect().left - box.getBoundingClientRect().left]; })
        ([...document.querySelectorAll('.scroll')].find(box => box.scrollWidth > box.clientWidth + 150))"""
    )
    assert left == 0
    assert moved < 0


CONTRASTS = """
(() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const light = (color) => {
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    const parts = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if (color !== 'rgba(0, 0, 0, 0)') return color;
    }
    return 'white';
  };
  const ratio = (element, property) => {
    const [a, b] = [light(getComputedStyle(element)[property]), light(behind(element))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  };
  const texts = [...document.querySelectorAll('body *')].filter(e => !e.closest('script, svg, .blank') &&
    [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim()));
  return {
    page: light(behind(document.body)),
    text: Math.min(...texts.map(e => ratio(e, 'color'))),
    axes: Math.min(...[...document.querySelectorAll('svg text')].map(e => ratio(e, 'fill'))),
    lines: Math.min(...[...document.querySelectorAll('.line')].map(e => ratio(e, 'stroke'))),
    pictures: Math.min(...[...document.images].map(e => light(behind(e)))),
  };
})()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_is_readable_in_light_and_dark(browser, page, scheme):
    browser.open(page, scheme=scheme)
    found = browser.evaluate(CONTRASTS)
    assert found["page"] > 0.9 if scheme == "light" else found["page"] < 0.05
    assert found["text"] >= 4.5  # WCAG 2.2 AA: text 4.5, lines 3
    assert found["axes"] >= 4.5
    assert found["lines"] >= 3
    assert found["pictures"] == pytest.approx(1)


def test_an_animation_plays_when_it_is_asked_to(browser, page):
    browser.open(page)
    shown = (
        "[...document.querySelectorAll('.animation img')].filter(e => e.checkVisibility()).map(e => e.src.slice(0, 15))"
    )
    assert browser.evaluate(shown) == ["data:image/webp"]
    browser.click(".player summary")
    assert browser.evaluate(shown) == ["data:image/gif;"]


def test_paper_is_white_and_shows_what_is_folded(browser, page):
    browser.open(page, scheme="dark")
    closed = "document.querySelectorAll('details:not([open]):not(.player)').length"
    browser.evaluate(f"addEventListener('beforeprint', () => {{ window.closedOnPaper = {closed}; }})")
    before = browser.evaluate(closed)
    assert before > 0
    assert len(browser.call("Page.printToPDF", printBackground=True)["data"]) > 10_000
    assert browser.evaluate("window.closedOnPaper") == 0
    assert browser.evaluate(closed) == before
    browser.media("dark", "print")
    assert browser.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert browser.evaluate("getComputedStyle(document.body).color") == "rgb(27, 31, 36)"
    assert browser.evaluate("getComputedStyle(document.querySelector('nav')).display") == "none"


def test_markup_that_slipped_in_would_neither_run_nor_load(browser, page, tmp_path):
    slipped = tmp_path / "slipped.html"
    text = page.read_text(encoding="utf-8")
    slipped.write_text(
        text.replace("<main>", "<main><script>pwned=1</script><img src='http://127.0.0.1:9/x' onerror='pwned=1'>")
    )
    browser.open(slipped)
    assert browser.evaluate("typeof pwned") == "undefined"
    assert "Content Security Policy" in json.dumps(browser.complaints())
    browser.click("table.sortable thead th:nth-child(3) button")
    assert order(browser)[0] == "lgm"
