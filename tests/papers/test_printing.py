"""Tickets as they come out of the press: read back, and their codes scanned like at the door."""

from __future__ import annotations

import asyncio
import datetime as dt
import io
import os
import signal
import subprocess
import sys
import time
import unicodedata
from collections.abc import AsyncIterator

import pypdfium2
import pytest
import zxingcpp
from msgspec import json, msgpack
from pypdf import PdfReader

from workers.papers import fonts, tickets
from workers.papers.sheets import Ticket, Tickets
from workers.papers.words import words
from workers.press import Press, Unprintable

LONG = "Donaudampfschifffahrtsgesellschaftskapitän " * 60
NAMES = (
    "Zoë Müller-Ångström",
    "محمد علي",
    "שרה כהן",
    "張三 さくら 한국어",
    "Ελένη Жукова ქეთევან",
    "अनीता ภาษาไทย",
    "👩‍👩‍👧 🎉",
    "\x00\x07\u202e\u2066\ufeff\ufffe\uffff",
    "e\u0301" * 50,
    "\U000e0041\U0010ffff",
    "Հայ",
    "W" * 5000,
    "\n" * 3000,
    "",
)


@pytest.fixture
async def press() -> AsyncIterator[Press]:
    made = Press()
    yield made
    await made.aclose()


def ticket(**fields: object) -> Ticket:
    known = {
        "secret": "abcdefghijkmnpqrstuvwxyz23456789",
        "number": "ABC12-1",
        "product": "Early bird",
        "when": "Saturday, December 27, 2031, 20:00",
        "where": "The old mill",
        "seat": [("Row", "12"), ("Seat", "7")],
        "fields": [("Name", "Peter")],
    }
    return Ticket(**{**known, **fields})  # type: ignore[arg-type]


def sheet(*pages: Ticket, event: str = "Night of Music", test: str = "") -> Tickets:
    return Tickets(event=event, slug="night", footer="Holdfast", test=test, tickets=list(pages) or [ticket()])


def drawn(paper: Tickets) -> bytes:
    return tickets.draw(json.encode(paper).decode())


async def printed(press: Press, paper: Tickets) -> bytes:
    return await press.draw("tickets", json.encode(paper).decode())


def scanned(file: bytes, page: int = 0) -> list[str]:
    with pypdfium2.PdfDocument(file) as document:
        return [code.text for code in zxingcpp.read_barcodes(document[page].render(scale=3).to_pil())]


def text_of(file: bytes, page: int = 0) -> str:
    return PdfReader(io.BytesIO(file)).pages[page].extract_text()


def test_a_ticket_says_what_it_is_for_and_its_code_is_its_secret() -> None:
    file = drawn(sheet())
    text = text_of(file)
    for told in ("Night of Music", "Saturday, December 27, 2031, 20:00", "The old mill", "12", "Peter", "ABC12-1"):
        assert told in text
    assert "TEST" not in text
    assert scanned(file) == ["abcdefghijkmnpqrstuvwxyz23456789"]


@pytest.mark.parametrize("secret", ["7", "Grüße, 日本 & ©", "x" * 255, "A1" * 500])
def test_whatever_the_secret_is_its_code_can_be_read(secret: str) -> None:
    assert scanned(drawn(sheet(ticket(secret=secret)))) == [secret]


def test_a_ticket_of_a_test_says_so_and_can_be_read() -> None:
    file = drawn(sheet(test="TEST"))
    assert "TEST" in text_of(file)
    assert scanned(file) == ["abcdefghijkmnpqrstuvwxyz23456789"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_printed(name: str) -> None:
    odd = ticket(number=name[:20] or "A-1", product=name, when=name, where=name, fields=[("Name", name), (name, name)])
    file = drawn(sheet(odd, ticket(seat=[(name, name)] * 3, product=LONG, fields=[("Name", LONG)] * 20), event=name))
    assert scanned(file) == scanned(file, page=1) == ["abcdefghijkmnpqrstuvwxyz23456789"]


@pytest.mark.parametrize("name", ["Zoë Müller-Ångström", "張三 さくら 한국어", "Ελένη Жукова ქეთევან"])
def test_names_can_be_copied_out_of_the_file(name: str) -> None:
    assert name in text_of(drawn(sheet(ticket(fields=[("Name", name)]))))


def test_a_long_name_gets_an_ellipsis_and_stays_in_its_place() -> None:
    for room in (20.0, 150.0, 400.0):
        for text in (LONG, "W" * 2000, "張" * 2000, "محمد علي " * 100):
            lines = fonts.lines(text, 11, room, 2)
            assert len(lines) == 2
            assert lines[1].endswith("…")
            assert all(fonts.width(line, 11) <= room for line in lines)
            assert fonts.width(fonts.one_line(text, 11, room), 11) <= room


def test_what_no_font_has_is_left_out_or_a_box() -> None:
    assert fonts.plain("Anna 🎉 B\x00o\u200db\ud800") == "Anna Bob"
    assert fonts.plain("Հ") == "□"
    assert fonts.plain("e\u0301") == unicodedata.normalize("NFC", "é")


def test_right_to_left_is_put_down_from_the_right() -> None:
    """The first word of an Arabic line is the one furthest to the right, and numbers keep their order."""
    runs = [run for _, run in fonts._runs("محمد 42 علي", bold=False)]
    assert [run.strip() for run in runs] == ["علي", "42", "محمد"]
    assert [run for _, run in fonts._runs("Night 42 and Day", bold=False)] == ["Night 42 and Day"]


def test_all_languages_have_words_and_a_calendar() -> None:
    begin = dt.datetime(2031, 12, 27, 20, 0)
    assert words("en").span(begin, None) == "Saturday, December 27, 2031, 20:00"
    assert words("de-informal").span(begin, begin.replace(hour=23)) == "Samstag, 27. Dezember 2031, 20:00 – 23:00 Uhr"
    night = words("en").span(begin, begin + dt.timedelta(hours=6))
    assert night == "Saturday, December 27, 2031, 20:00 – 02:00"
    days = words("en").span(begin, begin + dt.timedelta(hours=18))
    assert days == "Saturday, December 27, 2031, 20:00 – Sunday, December 28, 2031, 14:00"
    assert words("xx") is words("en")


async def test_the_press_prints_on_after_what_cannot_be_printed(press: Press) -> None:
    with pytest.raises(Unprintable):
        await printed(press, sheet(ticket(secret="x" * 10_000)))
    assert scanned(await printed(press, sheet())) == ["abcdefghijkmnpqrstuvwxyz23456789"]


async def test_a_press_that_dies_is_replaced(press: Press) -> None:
    await printed(press, sheet())
    assert press._process is not None
    os.kill(press._process.pid, signal.SIGSTOP)
    asked = asyncio.create_task(printed(press, sheet()))
    await asyncio.sleep(0.05)
    os.kill(press._process.pid, signal.SIGKILL)
    with pytest.raises(Unprintable, match="the press broke"):
        await asked
    assert (await printed(press, sheet())).startswith(b"%PDF")


async def test_a_press_that_hangs_is_ended(press: Press) -> None:
    await printed(press, sheet())
    assert press._process is not None
    os.kill(press._process.pid, signal.SIGSTOP)
    with pytest.raises(Unprintable, match="not done after"):
        await press.draw("tickets", json.encode(sheet()).decode(), timeout_s=0.2)
    assert (await printed(press, sheet())).startswith(b"%PDF")


def test_the_press_ends_with_whoever_it_prints_for() -> None:
    message = msgpack.encode(["tickets", json.encode(sheet()).decode()])
    press = subprocess.Popen([sys.executable, "-m", "workers.papers"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert press.stdin is not None
    assert press.stdout is not None
    press.stdin.write(len(message).to_bytes(4, "big") + message)
    press.stdin.flush()
    answer = press.stdout.read(int.from_bytes(press.stdout.read(4), "big"))
    assert msgpack.decode(answer)[1].startswith(b"%PDF")
    press.stdin.close()
    assert press.wait(10) == 0
    press.stdout.close()


@pytest.mark.parametrize("count", [500])
def test_many_tickets_are_one_file_of_as_many_pages(count: int) -> None:
    begun = time.process_time()
    file = drawn(sheet(*(ticket(number=f"A-{n}", secret=f"secret{n}") for n in range(count))))
    assert len(PdfReader(io.BytesIO(file)).pages) == count
    assert scanned(file, count - 1) == [f"secret{count - 1}"]
    assert len(file) < 5_000_000
    assert time.process_time() - begun < 40
