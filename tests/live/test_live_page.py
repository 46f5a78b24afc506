"""The page in a browser: what people see of it."""

from __future__ import annotations

import os
import signal
from typing import Any

import httpx
import pytest


def test_its_files_are_served_by_us_alone(own: Any) -> None:
    assert httpx.get(f"{own.base_url}/live").headers["Location"] == "/live/"
    for name in ("", "live.js", "live.css", "icon.svg"):
        answer = httpx.get(f"{own.base_url}/live/{name}")
        assert answer.status_code == 200
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert "//" not in answer.text.replace("http://www.w3.org/2000/svg", "").replace("// ", "").replace("// -", "")


def test_one_signs_in_chooses_an_event_and_sees_it_sell(own: Any, sale: Any, page: Any) -> None:
    event = sale(Stalls=10, Balcony=4, Standing=None)
    page.open(f"{own.base_url}/live/", 1280, 860)
    page.sign_in("wrong")
    assert "not valid" in page.wait_for("document.getElementById('refused').textContent")
    page.complaints.clear()  # the console names the answer 401
    page.sign_in(own.token)
    page.wait_for("document.querySelector('#event-list a') !== null")
    page.run(f"document.querySelector('#event-list a[href$=\"/{event.slug}\"]').click()")
    page.wait_until("live")
    assert page.run("document.getElementById('title').textContent") == "Night of the Proms"
    assert page.run("document.getElementById('focus-free').textContent") == "10"
    for _ in range(3):
        event.order("Stalls")
    for _ in range(4):
        event.hold("Balcony")
    page.wait_for("document.getElementById('focus-free').textContent === '7'")
    shown = "[...document.querySelectorAll('.quota')].map((card) => card.innerText.replaceAll(/\\s+/g, ' '))"
    page.wait_for(f"{shown}[1].includes('in carts 4')")
    stalls, balcony, standing = page.run(shown)
    assert stalls == "Stalls 7 free paid 0 pending 3 in carts 0"
    assert balcony == "Balcony Sold out paid 0 pending 0 in carts 4"
    assert standing == "Standing ∞ free paid 0 pending 0 in carts 0"
    page.run("document.querySelectorAll('.quota')[1].click()")
    assert page.run("document.getElementById('focus-name').textContent") == "Balcony"
    # the bar shows how full it is
    assert page.run("document.querySelector('#focus-bar .held').style.width") == "100%"
    assert page.complaints == []
    # the token is nowhere but in this tab
    assert own.token not in page.run("location.href + document.cookie + JSON.stringify(localStorage)")
    assert page.run("sessionStorage.getItem('token')") == own.token
    page.run("document.getElementById('leave').click()")
    assert page.run("sessionStorage.getItem('token')") is None
    assert page.run("document.getElementById('sale').hidden")


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_on_a_phone(own: Any, sale: Any, page: Any, dark: bool) -> None:
    event = sale(**{"A quota with a name that is much longer than any telephone is wide or tall": 100_000, "VIP": 20})
    event.order("VIP", paid=True)
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    page.say("Emulation.setEmulatedMedia", features=[scheme])
    page.open(f"{own.base_url}/live/#/{own.organizer}/{event.slug}", 390, 844, phone=True)
    page.sign_in(own.token)
    page.wait_until("live")
    page.wait_for("document.getElementById('focus-past').width > 300")
    assert page.run("document.documentElement.scrollWidth") <= 390
    assert page.run("document.elementFromPoint(200, 20).closest('header') !== null")
    lightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)[0]"
    assert (page.run(lightness) < 60) is dark
    assert page.complaints == []


def test_it_comes_back_when_the_front_door_does(own: Any, sale: Any, page: Any) -> None:
    event = sale(Stalls=10)
    page.open(f"{own.base_url}/live/#/{own.organizer}/{event.slug}", 1280, 860)
    page.sign_in(own.token)
    page.wait_until("live")
    [pid] = own.processes["front_doors"]
    os.kill(pid, signal.SIGKILL)
    page.wait_until("lost")
    page.wait_until("live", 90)
    assert page.run("document.getElementById('focus-free').textContent") == "10"
