"""An invoice on A4: the recipient where the window of an envelope is, what was bought, the sum, the taxes in it.

Blocks are laid out one below the other and never torn; a table that goes on over the page repeats its head.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator

from msgspec import Struct
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfgen.canvas import Canvas

from engine.domain.invoice import BREAK, Invoice, Line, decode
from engine.domain.invoice_texts import Words, amount, country_name, day, rate, words_of
from workers.papers import fonts

_WIDTH, _HEIGHT = A4
_LEFT, _RIGHT = 25 * mm, _WIDTH - 20 * mm
_ROOM = _RIGHT - _LEFT
_FIRST_TOP = _HEIGHT - 105 * mm
"""Where the contents of the first page begin: below the window of the envelope."""
_TOP, _BOTTOM = _HEIGHT - 25 * mm, 32 * mm

_INK, _PALE, _RULE, _TINT = HexColor("#1d1d1f"), HexColor("#6b7280"), HexColor("#d1d5db"), HexColor("#f3f4f6")
_TEXT, _SMALL, _TINY, _LINE = 9.5, 8.0, 7.0, 1.32

_GROSS, _NET, _RATE = _RIGHT - 2 * mm, _RIGHT - 30 * mm, _RIGHT - 58 * mm
"""Right edges of the columns with numbers."""
_DESCRIPTION = _LEFT + 9 * mm
_DESCRIPTION_ROOM = _RATE - 18 * mm - _DESCRIPTION


_PART_LENGTH_MAX, _PART_LINES_MAX = 1500, 40
"""Of a paragraph, what stays on one page."""


class _Block(Struct):
    """What stays together on one page; it is drawn below the y that it is given. One that is `listed` is a table's."""

    height: float
    draw: Callable[[Canvas, float], None]
    listed: bool = False


def draw(number: str, body: str) -> bytes:
    """Return the PDF of an invoice as it is kept; the same invoice makes the same bytes."""
    invoice = decode(body)
    words = words_of(invoice.locale)
    pages = _paged(list(_blocks(invoice, words)), _table_head(invoice, words))
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4, invariant=1, lang=words.language)
    canvas.setTitle(f"{_title(invoice, words)} {number}")
    canvas.setAuthor(fonts.plain(_name(invoice)))
    canvas.setCreator("Holdfast")
    for index, blocks in enumerate(pages, 1):
        if invoice.testmode:
            _watermark(canvas, words)
        canvas.setFillColor(_INK)
        if index == 1:
            _letterhead(canvas, number, invoice, words)
        y = _FIRST_TOP if index == 1 else _TOP
        for block in blocks:
            canvas.setFillColor(_INK)
            block.draw(canvas, y)
            y -= block.height
        _foot(canvas, f"{_title(invoice, words)} {number}", words.page.format(index, len(pages)), invoice.footer_text)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def _paged(blocks: list[_Block], head: _Block) -> list[list[_Block]]:
    pages: list[list[_Block]] = [[]]
    room = _FIRST_TOP - _BOTTOM
    for block in blocks:
        if block.height > room and pages[-1]:
            pages.append([])
            room = _TOP - _BOTTOM
            if block.listed:
                pages[-1].append(head)
                room -= head.height
        pages[-1].append(block)
        room -= block.height
    return pages


def _title(invoice: Invoice, words: Words) -> str:
    return words.cancellation if invoice.is_cancellation else words.invoice


# -------------------------------------------------------------------------------------------------- around the contents


def _letterhead(canvas: Canvas, number: str, invoice: Invoice, words: Words) -> None:
    sender = _sender(invoice, words)
    y = _HEIGHT - 25 * mm
    for index, line in enumerate(sender):
        bold = index == 0
        size = 11 if bold else _SMALL
        canvas.setFillColor(_INK if bold else _PALE)
        fonts.draw(canvas, _RIGHT, y, fonts.one_line(line, size, 80 * mm, bold=bold), size, bold=bold, align="right")
        y -= (size if bold else _SMALL) * _LINE
    _window(canvas, invoice)
    _facts(canvas, number, invoice, words)
    canvas.setFillColor(_INK)
    title = fonts.one_line(f"{_title(invoice, words)} {number}", 18, _ROOM, bold=True)
    fonts.draw(canvas, _LEFT, _HEIGHT - 98 * mm, title, 18, bold=True)


def _sender(invoice: Invoice, words: Words) -> list[str]:
    place = " ".join(part for part in (invoice.invoice_from_zipcode, invoice.invoice_from_city) if part)
    lines = [_name(invoice), *invoice.invoice_from.splitlines()[:6], place]
    if invoice.invoice_from_country:
        lines.append(country_name(invoice.invoice_from_country, words))
    if invoice.invoice_from_tax_id:
        lines.append(words.tax_id.format(invoice.invoice_from_tax_id))
    if invoice.invoice_from_vat_id:
        lines.append(words.vat_id.format(invoice.invoice_from_vat_id))
    return [line for line in lines if line.strip()]


def _name(invoice: Invoice) -> str:
    return invoice.invoice_from_name or invoice.organizer_name


def _window(canvas: Canvas, invoice: Invoice) -> None:
    """Draw the address where a window envelope shows it, below the sender in small print."""
    top, room = _HEIGHT - 50 * mm, 85 * mm
    place = " ".join(part for part in (invoice.invoice_from_zipcode, invoice.invoice_from_city) if part)
    back = [_name(invoice), *invoice.invoice_from.splitlines()[:2], place]
    canvas.setFillColor(_PALE)
    small = fonts.one_line(" · ".join(part.strip() for part in back if part.strip()), _TINY, room)
    fonts.draw(canvas, _LEFT, top, small, _TINY)
    canvas.setFillColor(_INK)
    y = top - 16
    for line in fonts.lines(invoice.invoice_to, 10, room, 9):
        fonts.draw(canvas, _LEFT, y, line, 10)
        y -= 10 * _LINE


def _facts(canvas: Canvas, number: str, invoice: Invoice, words: Words) -> None:
    """Draw what one is asked for: number, date, order, event."""
    facts = [
        (words.number, number),
        (words.issued, day(invoice.date, words)),
        (words.order, invoice.order),
        (words.event, invoice.event_name),
        (words.original, invoice.refers or ""),
        (words.reference, invoice.internal_reference),
        ("", invoice.custom_field or ""),
    ]
    left, y = _RIGHT - 70 * mm, _HEIGHT - 62 * mm
    for name, value in facts:
        for index, line in enumerate(fonts.lines(value, _SMALL + 0.5, 41 * mm, 2)):
            if index == 0:
                canvas.setFillColor(_PALE)
                fonts.draw(canvas, left, y, fonts.one_line(name, _SMALL + 0.5, 28 * mm), _SMALL + 0.5)
            canvas.setFillColor(_INK)
            fonts.draw(canvas, left + 29 * mm, y, line, _SMALL + 0.5)
            y -= 4.1 * mm


def _foot(canvas: Canvas, title: str, page: str, text: str) -> None:
    canvas.setStrokeColor(_RULE)
    canvas.setLineWidth(0.5)
    canvas.line(_LEFT, 26 * mm, _RIGHT, 26 * mm)
    canvas.setFillColor(_PALE)
    y = 26 * mm - 10
    for line in fonts.lines(text, _TINY, _ROOM, 4):
        fonts.draw(canvas, _LEFT, y, line, _TINY)
        y -= _TINY * _LINE
    fonts.draw(canvas, _LEFT, 10 * mm, fonts.one_line(title, _TINY, _ROOM / 2), _TINY)
    fonts.draw(canvas, _RIGHT, 10 * mm, page, _TINY, align="right")


def _watermark(canvas: Canvas, words: Words) -> None:
    canvas.saveState()
    canvas.translate(_WIDTH / 2, _HEIGHT / 2)
    canvas.rotate(50)
    canvas.setFillColor(HexColor("#eceef1"))
    fonts.draw(canvas, 0, 0, words.test, 34, bold=True, align="center")
    canvas.restoreState()


# --------------------------------------------------------------------------------------------------------- the contents


def _blocks(invoice: Invoice, words: Words) -> Iterator[_Block]:
    if invoice.introductory_text:
        yield from _paragraphs(invoice.introductory_text)
    yield _table_head(invoice, words)
    for line in invoice.lines:
        yield _row(line, invoice.currency, words)
    yield _total(invoice, words)
    yield _taxes(invoice, words)
    if invoice.payment_provider_stamp:
        yield _stamp(invoice.payment_provider_stamp)
    if invoice.payment_provider_text:
        yield from _paragraphs(invoice.payment_provider_text)
    if invoice.additional_text:
        yield from _paragraphs(invoice.additional_text)


def _paragraphs(text: str) -> Iterator[_Block]:
    """Yield a block a paragraph, so that long texts may go on over the page."""
    for paragraph in text.replace(BREAK, "\n").splitlines():
        for part in textwrap.wrap(paragraph, _PART_LENGTH_MAX):
            yield _lines(fonts.lines(part, _TEXT, _ROOM, _PART_LINES_MAX))
    yield _Block(3 * mm, lambda canvas, y: None)


def _lines(lines: list[str]) -> _Block:
    def drawn(canvas: Canvas, y: float) -> None:
        for index, line in enumerate(lines):
            fonts.draw(canvas, _LEFT, y - _TEXT - index * _TEXT * _LINE, line, _TEXT)

    return _Block(len(lines) * _TEXT * _LINE, drawn)


def _table_head(invoice: Invoice, words: Words) -> _Block:
    height = 7 * mm

    def drawn(canvas: Canvas, y: float) -> None:
        canvas.setFillColor(_TINT)
        canvas.rect(_LEFT, y - height, _ROOM, height, stroke=0, fill=1)
        canvas.setFillColor(_INK)
        base = y - height + 2.3 * mm
        fonts.draw(canvas, _DESCRIPTION, base, words.product, _SMALL, bold=True)
        fonts.draw(canvas, _RATE, base, words.rate, _SMALL, bold=True, align="right")
        fonts.draw(canvas, _NET, base, f"{words.net} ({invoice.currency})", _SMALL, bold=True, align="right")
        fonts.draw(canvas, _GROSS, base, f"{words.gross} ({invoice.currency})", _SMALL, bold=True, align="right")

    return _Block(height, drawn)


def _row(line: Line, currency: str, words: Words) -> _Block:
    first, *more = line.description.split(BREAK)
    named = fonts.lines(first, _TEXT, _DESCRIPTION_ROOM, 4) or [""]
    detailed = [part for text in more for part in fonts.lines(text, _SMALL, _DESCRIPTION_ROOM, 3)]
    height = len(named) * _TEXT * _LINE + len(detailed) * _SMALL * _LINE + 3.2 * mm

    def drawn(canvas: Canvas, y: float) -> None:
        base = y - 1.6 * mm - _TEXT
        canvas.setFillColor(_PALE)
        fonts.draw(canvas, _LEFT + 2 * mm, base, str(line.position), _TEXT)
        canvas.setFillColor(_INK)
        fonts.draw(canvas, _RATE, base, rate(line.tax_rate, words), _TEXT, align="right")
        fonts.draw(canvas, _NET, base, amount(line.gross_value - line.tax_value, currency, words), _TEXT, align="right")
        fonts.draw(canvas, _GROSS, base, amount(line.gross_value, currency, words), _TEXT, align="right")
        for text in named:
            fonts.draw(canvas, _DESCRIPTION, base, text, _TEXT)
            base -= _TEXT * _LINE
        canvas.setFillColor(_PALE)
        for text in detailed:
            fonts.draw(canvas, _DESCRIPTION, base + 1, text, _SMALL)
            base -= _SMALL * _LINE
        _rule(canvas, y - height)

    return _Block(height, drawn, listed=True)


def _total(invoice: Invoice, words: Words) -> _Block:
    height = 10 * mm
    total = f"{amount(invoice.total, invoice.currency, words)}\N{NO-BREAK SPACE}{invoice.currency}"

    def drawn(canvas: Canvas, y: float) -> None:
        base = y - height + 3.2 * mm
        fonts.draw(canvas, _DESCRIPTION, base, words.total, 12, bold=True)
        fonts.draw(canvas, _GROSS, base, total, 12, bold=True, align="right")

    return _Block(height, drawn, listed=True)


def _taxes(invoice: Invoice, words: Words) -> _Block:
    """Return the sums by tax; one that nobody was charged is told too."""
    rows = [
        (f"{name} {rate(percent, words)}".strip(), gross - tax, tax, gross)
        for (percent, name), (gross, tax) in invoice.taxes.items()
    ]
    step = _SMALL * 1.6
    edges = (_RIGHT - 58 * mm, _RIGHT - 30 * mm, _GROSS)

    def drawn(canvas: Canvas, y: float) -> None:
        base = y - 4 * mm
        canvas.setFillColor(_PALE)
        fonts.draw(canvas, _DESCRIPTION, base, words.taxes, _SMALL)
        for edge, name in zip(edges, (words.net, words.tax, words.gross), strict=True):
            fonts.draw(canvas, edge, base, name, _SMALL, align="right")
        for name, *sums in rows:
            base -= step
            fonts.draw(canvas, _DESCRIPTION, base, fonts.one_line(name, _SMALL, _DESCRIPTION_ROOM), _SMALL)
            for edge, value in zip(edges, sums, strict=True):
                fonts.draw(canvas, edge, base, amount(value, invoice.currency, words), _SMALL, align="right")

    return _Block(4 * mm + step * len(rows) + 7 * mm, drawn)


def _stamp(text: str) -> _Block:
    height, size = 14 * mm, 15

    def drawn(canvas: Canvas, y: float) -> None:
        said = text.upper()
        canvas.saveState()
        canvas.setFillColor(HexColor("#15803d"))
        canvas.setStrokeColor(HexColor("#15803d"))
        canvas.setLineWidth(1.4)
        wide = fonts.width(said, size, bold=True)
        canvas.roundRect(_LEFT, y - 9 * mm, wide + 8 * mm, 9 * mm, 2 * mm, stroke=1, fill=0)
        fonts.draw(canvas, _LEFT + 4 * mm, y - 6.5 * mm, said, size, bold=True)
        canvas.restoreState()

    return _Block(height, drawn)


def _rule(canvas: Canvas, y: float) -> None:
    canvas.setStrokeColor(_RULE)
    canvas.setLineWidth(0.5)
    canvas.line(_LEFT, y, _RIGHT, y)
