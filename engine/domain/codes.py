"""Codes and secrets: what names an order or a ticket without telling how many there are.

An order code is its number under a keyed permutation, so codes never collide and cannot be told from one another.
Alphabets and lengths: spec/facts.md, Creating orders.
"""

from __future__ import annotations

import os
import re
import struct
from array import array
from functools import lru_cache
from hashlib import blake2b, shake_256
from secrets import token_bytes
from typing import TypeAlias

CODE_ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ379"
_CODE_LENGTH_MIN = 5
CODE_LENGTH_MAX = 16
_NUMBER_MAX = 2**63 - 1
"""The last that a sequence gives: most codes of 14 characters and all longer ones are beyond it."""
_ROUNDS = 10
"""Both halves of a short code are small, so more rounds than the four that suffice for large blocks."""
_TABLE_LENGTH_MAX = 6
"""Codes up to here have halves of at most 27^3 values, so the ten round functions of a length fit into tables: 0.2 MB
for codes of five; made in 10 ms, and a look is a fiftieth of a hash."""
_DRAW = 2048
"""Random bytes taken at a time; much more than one text, of which at most an eighth is thrown away."""

_RADIX = len(CODE_ALPHABET)
_PAIR = _RADIX * _RADIX
_SIZES = [int(_RADIX**length) for length in range(CODE_LENGTH_MAX + 1)]
"""How many codes there are by length."""
_PAIRS = tuple(first + second for second in CODE_ALPHABET for first in CODE_ALPHABET)
_DIGITS = {char: digit for digit, char in enumerate(CODE_ALPHABET)}


def order_code(number: int, key: bytes) -> str:
    """Return the code of order `number` (from 0): five characters, longer ones once those are used up."""
    length = _CODE_LENGTH_MIN
    while number >= _SIZES[length]:
        number -= _SIZES[length]
        length += 1
    high_size, low_size, rounds = _network(length, key)
    high, low = divmod(number, low_size)
    # a Feistel network on two halves of whole digits, so that nothing falls outside
    for mix_high, mix_low in rounds:
        high += mix_high[low]
        if high >= high_size:
            high -= high_size
        low += mix_low[high]
        if low >= low_size:
            low -= low_size
    # the lowest digits come first
    return _text(low, length - length // 2) + _text(high, length // 2)


def _text(value: int, digits: int) -> str:
    if digits == 2:
        return _PAIRS[value]
    if digits == 3:
        return _PAIRS[value % _PAIR] + CODE_ALPHABET[value // _PAIR]
    text = ""
    for _ in range(digits):
        text += CODE_ALPHABET[value % _RADIX]
        value //= _RADIX
    return text


def order_number(code: str, key: bytes) -> int | None:
    """Return the number whose code this is, or None if no order will ever be given it."""
    length = len(code)
    if not _CODE_LENGTH_MIN <= length <= CODE_LENGTH_MAX or not _DIGITS.keys() >= set(code):
        return None
    value = 0
    for char in reversed(code):
        value = value * _RADIX + _DIGITS[char]
    shorter_codes = sum(int(_RADIX**shorter) for shorter in range(_CODE_LENGTH_MIN, length))
    number = _restore(value, length, key) + shorter_codes
    return number if number <= _NUMBER_MAX else None


def _restore(value: int, length: int, key: bytes) -> int:
    """Undo the permutation of `order_code`."""
    high_size, low_size, rounds = _network(length, key)
    high, low = divmod(value, low_size)
    for mix_high, mix_low in reversed(rounds):
        low = (low - mix_low[high]) % low_size
        high = (high - mix_high[low]) % high_size
    return high * low_size + low


def _half_sizes(length: int) -> tuple[int, int]:
    return int(_RADIX ** (length // 2)), int(_RADIX ** (length - length // 2))


class _Hashed:
    """The round function of a step of long codes: as good as random for whoever does not have the key."""

    def __init__(self, step: int, length: int, key: bytes) -> None:
        self._prefix = bytes((step, length))
        self._key = key
        self._added_to = _half_sizes(length)[step % 2]

    def __getitem__(self, half: int) -> int:
        message = self._prefix + half.to_bytes(8, "big")
        return int.from_bytes(blake2b(message, digest_size=16, key=self._key).digest(), "big") % self._added_to


_Mix: TypeAlias = "array[int] | _Hashed"
"""What is added to a half, by the other half; less than the half's size."""


def _tabled(step: int, length: int, key: bytes) -> array[int]:
    """Return the round function of a step of short codes: what 32 random bits for each value of a half come to."""
    added_to, size = _half_sizes(length)[step % 2], _half_sizes(length)[1 - step % 2]
    drawn = struct.unpack(f"<{size}I", shake_256(bytes((step, length)) + blake2b(key).digest()).digest(4 * size))
    # two bytes a number: in a list each look would wait for memory twice, and a rush leaves none of it in caches
    return array("H", [mix % added_to for mix in drawn])


@lru_cache(maxsize=4)
def _network(length: int, key: bytes) -> tuple[int, int, list[tuple[_Mix, _Mix]]]:
    """Return the sizes of both halves, and the round functions in pairs: of the high half, then of the low one."""
    make = _tabled if length <= _TABLE_LENGTH_MAX else _Hashed
    rounds: list[tuple[_Mix, _Mix]] = [
        (make(step, length, key), make(step + 1, length, key)) for step in range(0, _ROUNDS, 2)
    ]
    return *_half_sizes(length), rounds


class _Source:
    """Random texts of one alphabet and length: bytes that would favour some characters are thrown away.

    Asking the kernel costs more than all the rest, so one question serves some dozens of texts.
    """

    def __init__(self, alphabet: str, length: int) -> None:
        fair = 256 - 256 % len(alphabet)
        self._table = bytes(ord(alphabet[byte % len(alphabet)]) for byte in range(256))
        self._unfair = bytes(range(fair, 256))
        self._cut = re.compile(f".{{{length}}}").findall
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Begin with nothing drawn; two processes must never hand out the same text."""
        self._texts: list[str] = []

    def draw(self) -> str:
        """Return a text that nobody has had before."""
        if not self._texts:
            self._texts = self._cut(token_bytes(_DRAW).translate(self._table, self._unfair).decode("ascii"))
        return self._texts.pop()


_LOWER = "abcdefghijklmnopqrstuvwxyz"
_cart_names = _Source(_LOWER + _LOWER.upper() + "0123456789", 48)

order_secret = _Source(_LOWER + "0123456789", 26).draw
"""Returns the secret in an order's link: 26 of a-z 0-9. pretix has 16, which are 83 bits and not 134."""

ticket_secret = _Source("abcdefghjkmnpqrstuvwxyz23456789", 32).draw
"""Returns what a ticket's code carries: 32 of a-z 2-9 without i, l, o."""

pseudonymization_id = _Source("ABCDEFGHJKLMNPQRSTUVWXYZ3789", 10).draw
"""Returns a ticket's name for statistics: 10 of A-Z without I and O, 3 7 8 9."""


def cart_id() -> str:
    """Return a new cart id: 48 letters and digits, then @api."""
    return _cart_names.draw() + "@api"
