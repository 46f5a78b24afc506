"""Upper and lower case are alike to lists in every script, and nothing that people type has a meaning of its own."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from persistence import cards
from persistence.cards import PARTING, TEXT_MAX, among, fold, word
from persistence.parts import decode
from persistence.rows import indexed

MOMENT = "2031-01-01T10:00:00Z"
ORDER = {
    "id": 1,
    "organizer_id": 1,
    "event_id": 1,
    "version": 1,
    "code": "ABC12",
    "status": "n",
    "datetime": MOMENT,
    "expires": MOMENT,
    "last_modified": MOMENT,
    "total": "0.00",
}
POSITION = {"positionid": 1, "item": 3, "price": "0.00", "tax_value": "0.00"}


def card(**order: Any) -> dict[str, Any]:
    return msgspec.structs.asdict(cards.card(decode(json.dumps(ORDER | order).encode())))


def position(number: int, **fields: Any) -> dict[str, Any]:
    own = {"id": number, "secret": f"Secret{number}", "pseudonymization_id": f"PSEUDO{number}"}
    return POSITION | own | fields


@pytest.mark.parametrize(
    ("one", "other"), [("MÜLLER", "Müller"), ("STRASSE", "Straße"), ("ΟΔΟΣ", "οδος"), ("ИВАН", "иван"), ("Éva", "éVA")]
)
def test_case_does_not_matter(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    assert word("n", one) == word("n", other)


def test_words_are_told_apart_whole_however_long_they_are() -> None:
    long = "x" * 5000
    made = card(customer=long, locale="de", positions=[position(1, variation=4)])
    assert among("c", long) in made["words"]
    assert among("c", long + "y") not in made["words"]
    for kind, text in (("l", "de"), ("w", "web"), ("i", 3), ("v", 4)):
        assert among(kind, text) in made["words"]
    assert among("i", 33) not in made["words"]


def test_no_text_makes_a_word_of_another_kind() -> None:
    made = card(customer=f"a{PARTING}i99{PARTING}", email=f"b{PARTING}c")
    assert among("i", 99) not in made["words"]
    assert made["search"] == "abc12" + PARTING + "b c"


def test_canceled_positions_are_bought_but_not_searched() -> None:
    gone = position(2, canceled=True, item=5, attendee_name="Gone Girl")
    made = card(positions=[position(1, attendee_name="Here I Am"), gone])
    assert among("i", 5) in made["words"]
    assert "here i am" in made["search"]
    assert "gone" not in made["search"]
    assert made["secrets"] == f"{PARTING}se"


def test_beginnings_of_secrets_stand_once() -> None:
    made = card(positions=[position(1, secret="ÄBC"), position(2, secret="äbd"), position(3, secret="x")])
    assert made["secrets"] == f"{PARTING}äb{PARTING}x"
    many = [position(number, secret=f"{chr(number)}{chr(number)}") for number in range(0x4E00, 0x4E00 + 200)]
    assert card(positions=many)["secrets"] is None


def test_an_addon_is_found_by_who_has_the_ticket() -> None:
    made = card(positions=[position(1, attendee_name="Ada"), position(2, addon_to=1)])
    assert len(made["positions"]) == 2
    assert all("ada" in search for _, search in made["positions"])
    assert all(f"{PARTING}nada{PARTING}" in words for words, _ in made["positions"])


def test_a_text_stands_once_however_it_is_written() -> None:
    made = card(
        email="Ada@Example.org", comment="ADA@example.org", positions=[position(1, attendee_email="ada@EXAMPLE.org")]
    )
    assert made["search"] == f"abc12{PARTING}ada@example.org"
    assert made["positions"][0][1] == "ada@example.org"


def test_the_dates_are_the_lowest_and_the_highest_and_words_what_is_between() -> None:
    assert card()["first"] is None
    made = card(positions=[position(1, subevent=7)])
    assert (made["first"], made["last"]) == (7, 7)
    made = card(positions=[position(number, subevent=number) for number in (5, 9, 7)])
    assert (made["first"], made["last"]) == (5, 9)
    assert [among("s", number) in made["words"] for number in (5, 7, 9)] == [False, True, False]


@pytest.mark.parametrize(("sign", "most"), [("x", 1100), ("ü", 550)])
def test_what_does_not_fit_into_an_index_is_kept_beside_it(sign: str, most: int) -> None:
    none = b"\0\0\0\x19\xff\xff\xff\xff"
    fits, does_not = indexed(sign * most, TEXT_MAX), indexed(sign * (most + 1), TEXT_MAX)
    assert fits == b"\0\0\0\x19\0\0\x04\x4c" + (sign * most).encode() + none
    assert (
        does_not == none + b"\0\0\0\x19" + len((sign * (most + 1)).encode()).to_bytes(4) + (sign * (most + 1)).encode()
    )
