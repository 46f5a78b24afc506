"""docs/compatibility.md names every endpoint that there is, and no other."""

import re
from pathlib import Path

from engine.api import ROUTES

PAGE = Path(__file__).parents[2] / "docs" / "compatibility.md"


def test_the_page_lists_the_endpoints_of_the_route_table():
    rows = re.findall(r"^\| `([^`]*/)` \| ([A-Z ]+) \|", PAGE.read_text(), re.MULTILINE)
    listed = [(method, f"/api/v1/{path}") for path, methods in rows for method in methods.split()]
    served = [(route.method, route.path) for route in ROUTES]
    assert sorted(listed) == sorted(served)
