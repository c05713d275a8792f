"""The page at ``/``: what it is made of, and what it does in a real headless Chromium."""

import base64
import hashlib
import re

import pytest
from tests.report.test_browser import PATIENCE, browser, playwright  # noqa: F401
from tests.server.running import running

from prensa.server.key import Key


def test_it_loads_nothing_from_anywhere(server):
    reply = server("classes").get("/")
    assert reply.headers.get_content_type() == "text/html"
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert not re.search(r"(src|href)=\"(?!data:)", reply.text)
    for tag in ("style", "script"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", reply.text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def open_page(browser, url):  # noqa: F811
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(url)
    return page, said


def wait_for_the_model(page):
    # No `wait_for_function`: it polls with `eval`, which the page's policy forbids.
    playwright.expect(page).not_to_have_title("Prensa", timeout=PATIENCE)


def test_a_text_is_typed_and_answered(browser, server, models):  # noqa: F811
    page, said = open_page(browser, server("classes").url)
    wait_for_the_model(page)
    assert page.text_content("#name") == "tiny"
    page.fill("#text", "<b>ab</b>")
    page.click("button")
    page.wait_for_selector("#results:not([hidden])")
    (right,) = models("classes").predict(["<b>ab</b>"])
    rows = page.locator("#answers tr")
    assert [row.split("0.")[0] for row in rows.all_text_contents()] == list(right.scores)
    tokens = page.locator("#tokens .token").all_text_contents()
    assert tokens == ["[CLS]", *"<b>ab</b>", "[SEP]"]
    assert "ms in the server" in page.text_content("#times")
    assert not said
    page.close()


@pytest.mark.parametrize("task", ["multi-label", "embedding", "words", "questions"])
def test_other_tasks_have_their_own_tables(browser, server, task):  # noqa: F811
    page, said = open_page(browser, server(task).url)
    wait_for_the_model(page)
    page.fill("#text", "ab cd")
    if task == "questions":
        page.fill("#pair", "ef gh")
    page.press("#text", "Control+Enter")
    page.wait_for_selector("#results:not([hidden])")
    assert page.locator("#answers tr").count() >= 1
    assert not said
    page.close()


def test_it_asks_for_the_key_and_says_what_is_wrong(browser, models):  # noqa: F811
    with running(models("classes"), key=Key("s3cret")) as server:
        page, _ = open_page(browser, server.url)
        page.wait_for_selector("#key-row:not([hidden])")
        page.fill("#key", "s3cret")
        page.press("#key", "Tab")
        wait_for_the_model(page)
        page.fill("#text", "a " * 60)
        page.click("button")
        page.wait_for_selector("#problem:not([hidden])")
        assert "62 tokens, the model reads 32" in page.text_content("#problem")
        page.close()
