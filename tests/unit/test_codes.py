"""Order codes are a permutation; secrets have the alphabets and lengths that pretix's have."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.domain import codes

KEY = b"0123456789abcdef"
FIRST_LONG = 27**5


@settings(deadline=None)  # a key's tables are made for the first of its codes
@given(st.integers(0, 27**9), st.binary(min_size=1, max_size=64))
def test_a_code_leads_back_to_its_number(number: int, key: bytes) -> None:
    assert codes.order_number(codes.order_code(number, key), key) == number


@settings(deadline=None)  # a key's tables are made for the first of its codes
@given(st.text(codes.CODE_ALPHABET, min_size=5, max_size=13), st.binary(min_size=1, max_size=64))
def test_every_text_of_the_alphabet_is_the_code_of_one_number(code: str, key: bytes) -> None:
    number = codes.order_number(code, key)
    assert number is not None
    assert codes.order_code(number, key) == code


@pytest.mark.parametrize("code", ["A" * 15, "Z" * 16, "9" * 16])
def test_a_code_too_long_to_be_generated_has_no_number(code: str) -> None:
    assert codes.order_number(code, KEY) is None


def test_neighbours_have_unlike_codes() -> None:
    made = [codes.order_code(number, KEY) for number in range(2000)]
    assert len(set(made)) == 2000
    shared = [sum(a == b for a, b in zip(one, two, strict=True)) for one, two in pairwise(made)]
    assert sum(shared) / len(shared) < 0.4  # 5/27 = 0.19 by chance


def test_another_key_gives_another_permutation() -> None:
    same = sum(codes.order_code(n, KEY) == codes.order_code(n, b"another") for n in range(1000))
    assert same < 3


@pytest.mark.parametrize(
    ("number", "length"), [(0, 5), (FIRST_LONG - 1, 5), (FIRST_LONG, 6), (FIRST_LONG + 27**6 - 1, 6)]
)
def test_codes_get_longer_only_when_the_short_ones_are_used_up(number: int, length: int) -> None:
    assert len(codes.order_code(number, KEY)) == length


@pytest.mark.parametrize("code", ["", "ABCD", "ABCDE0", "abcde", "ABCDI", "ÄBCDE", "A" * 17])
def test_other_texts_are_no_generated_codes(code: str) -> None:
    assert codes.order_number(code, KEY) is None


@pytest.mark.parametrize(
    ("make", "form"),
    [
        (codes.order_secret, r"[a-z0-9]{26}"),
        (codes.ticket_secret, r"[a-hjkmnp-z2-9]{32}"),
        (codes.pseudonymization_id, r"[A-HJ-NP-Z3789]{10}"),
        (codes.cart_id, r"[A-Za-z0-9]{48}@api"),
    ],
)
def test_secrets_have_their_form_and_never_repeat(make, form) -> None:  # type: ignore[no-untyped-def]
    made = [make() for _ in range(3000)]
    assert all(re.fullmatch(form, text) for text in made)
    assert len(set(made)) == len(made)
