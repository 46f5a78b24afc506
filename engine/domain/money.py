"""Amounts: rounding, and sharing a sum out without losing a cent (spec/facts.md, Prices and taxes)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

ZERO = Decimal("0.00")
CENT = Decimal("0.01")
AMOUNT_MAX = Decimal("99999999999.99")
"""What the database holds: 13 digits, 2 of them decimals."""

_WITHOUT_CENTS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_WHOLE_UNITS_ONLY = frozenset(_WITHOUT_CENTS.split())


def places(currency: str) -> int:
    """Return how many decimals an amount in `currency` is read with."""
    return 0 if currency in _WHOLE_UNITS_ONLY else 2


def rounded(amount: Decimal, currency: str) -> Decimal:
    """Round half up to what can be paid in `currency`; always written with two decimals."""
    step = Decimal(1) if currency in _WHOLE_UNITS_ONLY else CENT
    return amount.quantize(step, ROUND_HALF_UP).quantize(CENT)


def split(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """Share `amount` out by `weights`, each share rounded; the shares sum up to `amount` exactly.

    What rounding leaves over goes onto the last share, what it takes too much comes off the first. Weights that sum up
    to nothing leave all of it to the last share.
    """
    whole = sum(weights, Decimal(0))
    if not whole:
        return [ZERO] * (len(weights) - 1) + [amount]
    shares = [rounded(amount * weight / whole, currency) for weight in weights]
    rest = amount - sum(shares)
    shares[-1 if rest > 0 else 0] += rest
    return shares
