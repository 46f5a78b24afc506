"""Seating plans to sell seats of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def layout(*rows: Sequence[str], **row: Any) -> dict[str, Any]:
    """Return the layout of one zone, Main, with seats of these guids: rows and their seats are numbered from 1.

    All seats are of the category Stalls. Each row has the fields `row` besides.
    """
    return {
        "name": "Plan",
        "categories": [{"name": "Stalls", "color": "#7f4a91"}],
        "zones": [
            {
                "name": "Main",
                "position": {"x": 0, "y": 0},
                "rows": [
                    {
                        "row_number": str(number),
                        "position": {"x": 0, "y": 0},
                        "seats": [
                            {"seat_guid": guid, "seat_number": str(n), "category": "Stalls"}
                            for n, guid in enumerate(guids, 1)
                        ],
                        **row,
                    }
                    for number, guids in enumerate(rows, 1)
                ],
            }
        ],
        "size": {"width": 600, "height": 400},
    }
