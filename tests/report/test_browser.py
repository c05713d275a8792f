"""The report in a real headless Chromium.

The browser is the one that the environment variable PRENSA_CHROMIUM names, or the first that is installed.
"""

import functools
import http.server
import os
import shutil
import threading

import pytest
from tests.sample import EVALUATION, manifest

from prensa.report.html import render

playwright = pytest.importorskip("playwright.sync_api")

PATIENCE = 600_000  # milliseconds for what takes one on a machine with nothing else to do
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"),
    *("--disable-sync", "--no-first-run"),
]


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = os.environ.get("PRENSA_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.skip("no Chromium is installed, and PRENSA_CHROMIUM names none")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=found, args=FLAGS, timeout=PATIENCE)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The report on a server on this machine, and the paths that it was asked for."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "report.html").write_text(render(EVALUATION, {"int8": manifest(layers=12)}), encoding="utf-8")
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/report.html", asked
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def open_page(browser, served):
    """Open the report; the browser must have nothing to say and ask for nothing else."""
    url, asked = served
    pages = []

    def open_page(**settings):
        asked.clear()
        page = browser.new_page(**settings)
        page.set_default_timeout(PATIENCE)
        said, requests = [], []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(url)
        pages.append((page, said, requests))
        return page

    yield open_page
    for page, said, requests in pages:
        assert said == []
        assert [address for address in requests if not address.startswith("data:")] == [url]
        page.close()
    assert asked == ["/report.html"]


def column(page, number):
    cells = page.locator(f".tensors tbody tr:visible > :nth-child({number})")
    return cells.all_inner_texts()


def test_it_shows_what_it_says(open_page):
    page = open_page()
    assert page.title() == "int8 beside my deberta"
    assert "its accuracy drops by 0.30 points" in page.locator(".verdict").inner_text()
    assert page.locator("svg").count() == 6
    for picture in page.locator("[role='img']").all():
        box = picture.bounding_box()
        assert box["width"] > 200
        assert box["height"] > 50
        assert len(picture.get_attribute("aria-label")) > 20
    assert page.locator("svg text", has_text="original").first.is_visible()


def test_text_of_users_is_shown_as_text(open_page):
    page = open_page()
    cell = page.locator("td.user").first
    assert cell.inner_text().startswith("<script>document.title = 'owned'</script><img src=")
    assert page.title() == "int8 beside my deberta"
    assert page.locator("img").count() == 0


def test_long_texts_unfold(open_page):
    page = open_page()
    cell = page.locator("td.user").nth(1)
    folded = cell.bounding_box()["height"]
    cell.locator("summary").click()
    assert cell.bounding_box()["height"] > folded


def test_tensors_are_sorted(open_page):
    page = open_page()
    after = [int(size.replace(",", "")) for size in column(page, 8)]
    head = page.locator("th", has=page.get_by_role("button", name="after", exact=True))
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [int(size.replace(",", "")) for size in column(page, 8)] == sorted(after)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert [int(size.replace(",", "")) for size in column(page, 8)] == sorted(after, reverse=True)
    page.get_by_role("button", name="tensor", exact=True).click()
    assert head.get_attribute("aria-sort") == "none"
    names = column(page, 1)
    assert names.index("deberta.encoder.layer.2.up.weight") < names.index(
        "deberta.encoder.layer.10.up.weight"
    )


def test_tensors_are_searched(open_page):
    page = open_page()
    page.get_by_role("searchbox").fill("layer.1. QUERY")
    assert column(page, 1) == ["deberta.encoder.layer.1.query.weight"]
    assert page.locator("output").inner_text() == "1 of 74 tensors"
    page.get_by_role("searchbox").fill("no such thing")
    assert column(page, 1) == []
    page.get_by_role("searchbox").fill("")
    assert len(column(page, 1)) == 74


def test_the_keyboard_reaches_and_works_everything(open_page):
    page = open_page()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.add(page.evaluate("document.activeElement.tagName + ':' + document.activeElement.className"))
    assert {"A:", "DIV:scroll", "SUMMARY:", "INPUT:", "BUTTON:", "PRE:"} <= seen
    page.get_by_role("button", name="bits/weight").focus()
    page.keyboard.press("Enter")
    bits = [float(number) for number in column(page, 6)]
    assert bits == sorted(bits)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_checker_of_accessibility_finds_nothing(browser, served, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    context = browser.new_context(bypass_csp=True, color_scheme=scheme)  # the checker is a script of its own
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(served[0])
    assert [found["id"] for found in axe.run(page).response["violations"]] == []
    context.close()


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_it_fits_every_screen(open_page, width):
    page = open_page(viewport={"width": width, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def luminance(page):
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )[:3]
    return red + green + blue


def test_light_dark_and_print(open_page):
    page = open_page(color_scheme="light")
    assert luminance(page) > 700
    page.emulate_media(color_scheme="dark")
    assert luminance(page) < 150
    page.emulate_media(color_scheme="dark", media="print")
    assert luminance(page) > 700
    assert not page.locator("nav").is_visible()
    assert page.locator(".tensors tbody tr").first.is_visible()
    assert page.pdf()[:4] == b"%PDF"


def test_it_can_be_read_without_scripts(browser, served):
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.goto(served[0])
    assert page.locator(".tensors tbody tr").count() == 74
    context.close()
