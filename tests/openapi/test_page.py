"""The page of the API in a browser: it shows every operation, and a request that is tried there is answered."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import told
from browser import Browser

PICTURES = os.environ.get("HOLDFAST_PICTURES")
"""A folder to keep pictures in, for whoever wants to look."""

COUNT = sum(map(len, told.DOCUMENT["paths"].values()))
WHOLE = f"document.querySelectorAll('.operation').length === {COUNT} && !document.getElementById('state')"
NO_WIDER = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as running:
        yield running


def kept(browser: Browser, name: str) -> None:
    if PICTURES:
        browser.picture(Path(PICTURES) / f"{name}.png")


@pytest.mark.parametrize(("name", "width", "height"), [("desk", 1280, 900), ("phone", 390, 844)])
def test_it_shows_everything_and_tries_a_request(
    server: Any, browser: Browser, name: str, width: int, height: int
) -> None:
    phone = name == "phone"
    browser.open(f"{server.base_url}/api/v1/docs/", width, height, phone=phone)
    browser.wait_for(WHOLE)
    assert browser.run(NO_WIDER)
    kept(browser, f"{name}-start")
    assert browser.run("document.getElementById('list').checkVisibility()") == (not phone)
    browser.run("document.getElementById('menu').click()")
    assert browser.run("document.getElementById('list').checkVisibility()")
    browser.run("document.getElementById('menu').click()")

    browser.run("location.hash = 'post_organizers_organizer_events'")
    browser.wait_for("document.querySelector('#post_organizers_organizer_events .send') !== null")
    assert browser.run(NO_WIDER)
    kept(browser, f"{name}-operation")
    slug = f"page-{name}"
    body = {"name": {"en": "Page"}, "slug": slug, "currency": "EUR", "date_from": "2031-12-27T10:00:00Z"}
    browser.run(
        f"""(() => {{
            const token = document.getElementById("token");
            token.value = {json.dumps(server.token)};
            token.dispatchEvent(new Event("input"));
            const operation = document.getElementById("post_organizers_organizer_events");
            operation.querySelector(".inputs input").value = {json.dumps(server.organizer)};
            operation.querySelector("textarea").value = {json.dumps(json.dumps(body))};
            operation.querySelector(".send").click();
        }})()"""
    )
    answered = "#post_organizers_organizer_events [aria-live] pre"
    shown = json.loads(browser.wait_for(f"(document.querySelector('{answered}') || {{}}).textContent"))
    assert (shown["slug"], shown["timezone"]) == (slug, "UTC")
    browser.run(f"document.querySelector('{answered}').scrollIntoView({{block: 'center'}})")
    assert browser.run(NO_WIDER)
    kept(browser, f"{name}-answer")
    assert browser.complaints == []


def test_every_operation_opens(server: Any, browser: Browser) -> None:
    browser.open(f"{server.base_url}/api/v1/docs/", 1280, 900)
    browser.wait_for(WHOLE)
    browser.run("document.querySelectorAll('.operation').forEach((one) => { one.open = true; })")
    browser.wait_for(f"document.querySelectorAll('.operation .inside').length === {COUNT}")
    assert browser.run(NO_WIDER)
    assert browser.run("[...document.querySelectorAll('textarea')].every((one) => JSON.parse(one.value) !== null)")
    assert browser.complaints == []


def test_searching_leaves_what_has_all_words(server: Any, browser: Browser) -> None:
    browser.open(f"{server.base_url}/api/v1/docs/", 1280, 900)
    browser.wait_for(WHOLE)
    browser.run(
        """(() => {
            const search = document.getElementById("search");
            search.value = "post MARK_";
            search.dispatchEvent(new Event("input"));
        })()"""
    )
    left = browser.run(
        "[...document.querySelectorAll('.operation')].filter((one) => one.checkVisibility()).map((one) => one.id)"
    )
    assert len(left) == 4
    assert all("_mark_" in one for one in left)
