"""Countries and the few whose addresses name a state (spec/orders.txt, Order resource)."""

from __future__ import annotations

import pycountry

COUNTRIES = frozenset(country.alpha_2 for country in pycountry.countries)

_WITH_STATES = frozenset(("AU", "BR", "CA", "CN", "MY", "MX", "US"))


def state_error(country: str | None, state: str | None) -> str | None:
    """Return what is wrong with a state in an address, or None."""
    if not state:
        return None
    if country not in _WITH_STATES:
        return f'States are not supported in country "{country or ""}".'
    if pycountry.subdivisions.get(code=f"{country}-{state}") is None:  # type: ignore[no-untyped-call]
        return f'"{state}" is not a known subdivision of the country "{country}".'
    return None
