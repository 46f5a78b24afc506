"""Order ids whose codes clients have claimed are found whatever else is claimed."""

from __future__ import annotations

from persistence import orders, sequences
from persistence.database import Database

_FIRST = 8_800_000_001
_BEYOND = 27**16


async def test_claimed_numbers_of_a_block_are_found_beside_one_that_no_sequence_reaches(database: Database) -> None:
    for number in (_FIRST - 1, _FIRST, _FIRST + 999, _FIRST + 1000, _BEYOND):
        assert await orders.claim(database, "order_id", 0, str(number), 1)
    assert await orders.claim(database, "code", 0, str(_FIRST + 1), 1), "which is no number"
    found = await sequences.reserved_numbers(database, _FIRST, _FIRST + 999)
    assert found == {_FIRST, _FIRST + 999}
