"""The letters on our papers: FiraGO for most scripts of the world, WenQuanYi Micro Hei for Chinese, Japanese, Korean.

Names and titles come from anywhere. Every text can be drawn: runs of it are set in the font that has them, scripts that
need it are shaped and go from right to left, and what no font has is left out (emoji) or drawn as an empty box.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any, Literal

import paperang_p2_fonts_cjk
import pymupdf_fonts
from reportlab import rl_config
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont, shapeStr
from reportlab.pdfgen.canvas import Canvas

# files are sent as bytes; as text they would be a quarter larger and take longer
rl_config.useA85 = 0

REGULAR, BOLD = "FiraGO", "FiraGO-Bold"
_EAST_ASIAN = "WenQuanYi"
_CHARACTERS_MAX = 2000
"""More of one text is on no paper; it bounds what one draws."""
_WORD_MAX = 100
"""A longer word may end its line anywhere."""
_BOX = "\u25a1"
_ELLIPSIS = "…"
_JOINERS = "\u200c\u200d"
_SHAPED = (range(0x0590, 0x1100), range(0x1780, 0x1800), range(0xFB1D, 0xFE00))
"""Scripts whose letters take their form from their neighbours; Latin, Greek and Cyrillic are set letter by letter."""

Align = Literal["left", "center", "right"]


def _registered() -> dict[str, frozenset[int]]:
    """Make the fonts known to reportlab; return which characters each of them has."""
    cjk = Path(paperang_p2_fonts_cjk.__file__).parent / "fonts" / "wqy-microhei.ttc"
    fonts = (
        TTFont(REGULAR, io.BytesIO(pymupdf_fonts.myfont("figo"))),
        TTFont(BOLD, io.BytesIO(pymupdf_fonts.myfont("figbo"))),
        TTFont(_EAST_ASIAN, str(cjk), subfontIndex=0),
    )
    for font in fonts:
        pdfmetrics.registerFont(font)
    return {font.fontName: frozenset(font.face.charToGlyph) for font in fonts}


_CHARACTERS = _registered()


def plain(text: str) -> str:
    """Return a text on one line as it can be drawn, with its spaces made single."""
    text = unicodedata.normalize("NFC", " ".join(text[:_CHARACTERS_MAX].split()))
    return " ".join("".join(_drawable(letter, before) for before, letter in pairwise(f" {text}")).split())


def _drawable(letter: str, before: str) -> str:
    kind = unicodedata.category(letter)
    if kind in ("Cc", "Cf", "Cs"):
        # controls and lone surrogates; joiners mean something to scripts that join, and elsewhere hold emoji together
        return letter if letter in _JOINERS and _is_shaped(before) else ""
    if any(ord(letter) in characters for characters in _CHARACTERS.values()):
        return letter
    # emoji and their parts, private use, what Unicode does not know
    return "" if kind in ("So", "Sk", "Mn", "Me", "Co", "Cn") else _BOX


def width(text: str, size: float, *, bold: bool = False) -> float:
    """Return how wide a text is, in points."""
    return _width(plain(text), size, bold)


def _width(text: str, size: float, bold: bool) -> float:
    return sum(_run_width(font, run, size) for font, run in _runs(text, bold))


def draw(
    canvas: Canvas, x: float, y: float, text: str, size: float, *, bold: bool = False, align: Align = "left"
) -> float:
    """Draw a text on one line with its baseline at y, in the colour that is set; return how wide it is."""
    runs = _runs(plain(text), bold)
    widths = [_run_width(font, run, size) for font, run in runs]
    whole = sum(widths)
    x -= {"left": 0.0, "center": whole / 2, "right": whole}[align]
    for (font, run), run_width in zip(runs, widths, strict=True):
        line = canvas.beginText(x, y)
        line.setFont(font, size)
        line.textOut(_shaped(font, run))
        canvas.drawText(line)
        x += run_width
    return whole


def lines(text: str, size: float, room: float, most: int, *, bold: bool = False) -> list[str]:
    """Return a text broken into at most `most` lines that fit into `room` points; an ellipsis ends what was cut off.

    Line breaks of the text itself are kept.
    """
    paragraphs = text[:_CHARACTERS_MAX].splitlines()
    found = (line for paragraph in paragraphs for line in _broken(plain(paragraph), size, room, bold))
    broken = list(islice(found, most + 1))
    if len(broken) > most:
        broken = [*broken[: most - 1], _cut(broken[most - 1], size, room, bold)]
    return broken


def one_line(text: str, size: float, room: float, *, bold: bool = False) -> str:
    """Return a text that fits into `room` points on one line, with an ellipsis for what was cut off."""
    text = plain(text)
    return text if _width(text, size, bold) <= room else _cut(text, size, room, bold)


def size_that_fits(text: str, room: float, most: int, *, largest: float, smallest: float, bold: bool = False) -> float:
    """Return the largest size in which a text needs at most `most` lines; the smallest one if none does."""
    size = largest
    while size > smallest and len(lines(text, size, room, most + 1, bold=bold)) > most:
        size -= 1
    return max(size, smallest)


def _broken(text: str, size: float, room: float, bold: bool) -> Iterator[str]:
    line = ""
    for word in _words(text):
        longer = f"{line}{word}"
        if _width(longer, size, bold) <= room:
            line = longer
            continue
        if line.strip():
            yield line.strip()
        line = word.lstrip()
        while (fits := _fitting(line, size, room, bold)) < len(line):
            yield line[:fits]
            line = line[fits:]
    if line.strip():
        yield line.strip()


def _words(text: str) -> Iterator[str]:
    """Yield pieces after which a line may end; between East Asian characters it may end anywhere."""
    piece, after_wide = "", False
    for letter in text:
        wide = unicodedata.east_asian_width(letter) in ("W", "F")
        ends = letter == " " or wide or after_wide or len(piece) == _WORD_MAX
        if piece and ends:
            yield piece
            piece = ""
        piece += letter
        after_wide = wide
    if piece:
        yield piece


def _fitting(text: str, size: float, room: float, bold: bool) -> int:
    """Return how many of the first letters fit; at least one."""
    low, high = 1, 2
    while high < len(text) and _width(text[:high], size, bold) <= room:
        low, high = high, high * 2
    high = min(high, len(text))
    while low < high:
        middle = (low + high + 1) // 2
        if _width(text[:middle], size, bold) <= room:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(text: str, size: float, room: float, bold: bool) -> str:
    """Return as much of a text as fits before an ellipsis."""
    fits = _fitting(text, size, room - _width(_ELLIPSIS, size, bold), bold)
    return f"{text[:fits].rstrip()}{_ELLIPSIS}"


def _runs(text: str, bold: bool) -> list[tuple[str, str]]:
    """Return the pieces of a text from left to right as they are seen, each with its font."""
    if text.isascii():
        return [(BOLD if bold else REGULAR, text)] if text else []
    pieces = list(_directed(text))
    backwards = bool(pieces) and next((rtl for rtl, _ in pieces if rtl is not None), False)
    runs: list[tuple[str, str]] = []
    for rtl, piece in reversed(pieces) if backwards else pieces:
        set_in = [(font, "".join(letters)) for font, letters in groupby(piece, lambda letter: _font(letter, bold))]
        runs += reversed(set_in) if rtl else set_in
    return runs


def _directed(text: str) -> Iterator[tuple[bool, str]]:
    """Yield pieces of one direction, in the order of reading: whether it goes from right to left, and the piece."""
    ways = [_way(letter) for letter in text]
    first = next((way for way in ways if way is not None), False)
    for index, way in enumerate(ways):
        if way is None:
            # what has no direction goes with its neighbours where they agree, else with the whole
            before = ways[index - 1] if index else first
            after = next((later for later in ways[index:] if later is not None), first)
            ways[index] = before if before == after else first
    for way, letters in groupby(zip(ways, text, strict=True), lambda pair: pair[0]):
        yield bool(way), "".join(letter for _, letter in letters)


def _way(letter: str) -> bool | None:
    match unicodedata.bidirectional(letter):
        case "R" | "AL" | "AN":
            return True
        case "L" | "EN":
            return False
    return None


def _font(letter: str, bold: bool) -> str:
    font = BOLD if bold else REGULAR
    return font if ord(letter) in _CHARACTERS[font] or letter in _JOINERS else _EAST_ASIAN


@lru_cache(maxsize=4096)
def _run_width(font: str, run: str, size: float) -> float:
    shaped = _shaped(font, run)
    glyphs = getattr(shaped, "__shapeData__", None)
    if glyphs is None:
        return float(pdfmetrics.stringWidth(run, font, size))
    return float(sum(glyph.x_advance for glyph in glyphs) * size / 1000)


def _shaped(font: str, run: str) -> Any:
    """Return a run as reportlab draws it: in the order and the forms of its script."""
    return shapeStr(run, font, 10) if any(_is_shaped(letter) for letter in run) else run


def _is_shaped(letter: str) -> bool:
    return any(ord(letter) in script for script in _SHAPED)
