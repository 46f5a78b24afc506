"""Tickets, drawn: a page each, as wide as a sheet of paper and as high as a third of one."""

from __future__ import annotations

import io
import zlib

import msgspec
from reportlab.graphics.barcode.qrencoder import QRCode, QRErrorCorrectLevel
from reportlab.lib.colors import Color, HexColor, white
from reportlab.pdfgen.canvas import Canvas

from workers.papers import fonts
from workers.papers.sheets import Field, Ticket, Tickets

_WIDTH, _HEIGHT = 595.3, 280.6
_STUB = 172.0
"""What is torn off: the code, and what the door needs if it does not read it."""
_MARGIN = 26.0
_HEAD = 112.0
_CODE = 126.0
_COLORS = ("#1b3a5c", "#0d5257", "#5b2a6e", "#7a1f3d", "#245033", "#7c3a12", "#31356e", "#2f4550")
"""Deep enough for white letters. An event has one of them for good."""
_INK, _PALE = HexColor("#1d2530"), HexColor("#7b8794")
_FIELDS_MAX = 6


def draw(text: str) -> bytes:
    """Return the PDF of tickets, given as JSON of Tickets."""
    sheet = msgspec.json.decode(text, type=Tickets)
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=(_WIDTH, _HEIGHT), pageCompression=1, initialFontName=fonts.REGULAR)
    canvas.setTitle(fonts.plain(sheet.event) or "Ticket")
    canvas.setCreator("Holdfast")
    canvas.setAuthor("Holdfast")
    color = HexColor(_COLORS[zlib.crc32(sheet.slug.encode()) % len(_COLORS)])
    for ticket in sheet.tickets:
        _head(canvas, sheet, ticket, color)
        _body(canvas, sheet, ticket)
        _stub(canvas, ticket, color)
        if sheet.test:
            _across(canvas, sheet.test)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _head(canvas: Canvas, sheet: Tickets, ticket: Ticket, color: Color) -> None:
    edge, bottom = _WIDTH - _STUB, _HEIGHT - _HEAD
    canvas.saveState()
    frame = canvas.beginPath()
    frame.rect(0, bottom, edge, _HEAD)
    canvas.clipPath(frame, stroke=0, fill=0)
    canvas.setFillColor(color)
    canvas.rect(0, bottom, edge, _HEAD, stroke=0, fill=1)
    canvas.setFillColor(white, alpha=0.05)
    for radius in (190, 145, 100, 55):
        canvas.circle(edge - 30, _HEIGHT + 10, radius, stroke=0, fill=1)
    canvas.restoreState()

    room = edge - 2 * _MARGIN
    size = fonts.size_that_fits(sheet.event, room, 2, largest=26, smallest=13, bold=True)
    lines = fonts.lines(sheet.event, size, room, 3 if size == 13 else 2, bold=True)
    canvas.setFillColor(white)
    y = _HEIGHT - _MARGIN - size * 0.75
    for line in lines:
        fonts.draw(canvas, _MARGIN, y, line, size, bold=True)
        y -= size * 1.15
    y = bottom + 16
    where = fonts.lines(ticket.where, 9.5, room, 1)
    if where:
        canvas.setFillColor(white, alpha=0.8)
        fonts.draw(canvas, _MARGIN, y, where[0], 9.5)
        y += 15
    canvas.setFillColor(white, alpha=1)
    size = fonts.size_that_fits(ticket.when, room, 1, largest=11.5, smallest=8.5)
    fonts.draw(canvas, _MARGIN, y, fonts.one_line(ticket.when, size, room), size)


def _body(canvas: Canvas, sheet: Tickets, ticket: Ticket) -> None:
    edge = _WIDTH - _STUB
    room = edge - 2 * _MARGIN
    top = _HEIGHT - _HEAD - 24
    if ticket.seat:
        # the seat is what one looks for in the dark
        x = _MARGIN
        column = room / max(len(ticket.seat), 3)
        for field in ticket.seat:
            _field(canvas, x, top, column - 12, field, size=17)
            x += column
        top -= 44
    columns = 2
    column = room / columns
    for index, field in enumerate(ticket.fields[: _FIELDS_MAX - (2 if ticket.seat else 0)]):
        _field(canvas, _MARGIN + column * (index % columns), top - 36 * (index // columns), column - 12, field, size=11)
    canvas.setFillColor(_PALE)
    fonts.draw(canvas, _MARGIN, 17, fonts.one_line(sheet.footer, 7, room), 7)


def _field(canvas: Canvas, x: float, y: float, room: float, field: Field, *, size: float) -> None:
    label, text = field
    canvas.setFillColor(_PALE)
    fonts.draw(canvas, x, y, fonts.one_line(label.upper(), 6.5, room), 6.5)
    canvas.setFillColor(_INK)
    fits = fonts.size_that_fits(text, room, 1, largest=size, smallest=8, bold=True)
    y -= 4 + size * 0.8
    for line in fonts.lines(text, fits, room, 2 if fits == 8 else 1, bold=True):
        fonts.draw(canvas, x, y, line, fits, bold=True)
        y -= 9


def _stub(canvas: Canvas, ticket: Ticket, color: Color) -> None:
    edge = _WIDTH - _STUB
    middle = edge + _STUB / 2
    canvas.setFillColor(Color(color.red, color.green, color.blue, alpha=0.07))
    canvas.rect(edge, 0, _STUB, _HEIGHT, stroke=0, fill=1)
    canvas.setFillColor(white, alpha=1)
    canvas.roundRect(middle - _CODE / 2 - 4, _HEIGHT - _MARGIN - _CODE - 4, _CODE + 8, _CODE + 8, 6, stroke=0, fill=1)
    _code(canvas, ticket.secret, middle - _CODE / 2, _HEIGHT - _MARGIN - _CODE, _CODE)

    room = _STUB - 36
    y = _HEIGHT - _MARGIN - _CODE - 30
    canvas.setFillColor(_INK)
    size = fonts.size_that_fits(ticket.number, room, 1, largest=15, smallest=6, bold=True)
    fonts.draw(canvas, middle, y, ticket.number, size, bold=True, align="center")
    y -= 20
    for line in fonts.lines(ticket.product, 9, room, 2, bold=True):
        fonts.draw(canvas, middle, y, line, 9, bold=True, align="center")
        y -= 11.5
    canvas.setFillColor(_PALE)
    seat = " · ".join(f"{label} {text}" for label, text in ticket.seat)
    for line in fonts.lines(seat or ticket.when, 7.5, room, 3):
        y -= 0.5
        fonts.draw(canvas, middle, y, line, 7.5, align="center")
        y -= 10

    canvas.setStrokeColor(_PALE)
    canvas.setLineWidth(0.8)
    canvas.setDash(1.5, 3.5)
    canvas.line(edge, 14, edge, _HEIGHT - 14)
    canvas.setDash()
    canvas.setFillColor(white)
    for y in (0, _HEIGHT):
        canvas.circle(edge, y, 8, stroke=0, fill=1)


def _code(canvas: Canvas, text: str, x: float, y: float, size: float) -> None:
    """Draw a QR code in a square; the quiet zone of four modules that readers ask for is part of it."""
    code = QRCode(None, QRErrorCorrectLevel.M if len(text) <= 300 else QRErrorCorrectLevel.L)
    code.addData(text)
    code.make()
    count = code.getModuleCount()
    dark = canvas.beginPath()
    for row in range(count):
        start = None
        for column in range(count + 1):
            if column < count and code.isDark(row, column):
                start = column if start is None else start
            elif start is not None:
                dark.rect(start + 4, count + 3 - row, column - start, 1)
                start = None
    canvas.saveState()
    canvas.translate(x, y)
    canvas.scale(size / (count + 8), size / (count + 8))
    canvas.setFillColor(_INK)
    canvas.drawPath(dark, stroke=0, fill=1)
    canvas.restoreState()


def _across(canvas: Canvas, text: str) -> None:
    canvas.saveState()
    canvas.translate((_WIDTH - _STUB) / 2, (_HEIGHT - _HEAD) / 2)
    canvas.rotate(14)
    canvas.setFillColor(HexColor("#c0392b"), alpha=0.28)
    fonts.draw(canvas, 0, -12, text, 40, bold=True, align="center")
    canvas.restoreState()
