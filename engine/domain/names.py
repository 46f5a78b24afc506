"""Names of people in parts, and how the parts make a name (spec/facts.md, Creating orders)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.domain.catalogue import Event

DEFAULT_SCHEME = "given_family"
"""What events made through the API have."""

LEGACY = "_legacy"
SCHEME = "_scheme"

_GIVEN_FAMILY = ("{given_name}", " {family_name}")
_PATTERNS: dict[str, tuple[str, ...]] = {
    "given_family": _GIVEN_FAMILY,
    "title_given_family": ("{title}", " {given_name}", " {family_name}"),
    "title_given_family_degree": ("{title}", " {given_name}", " {family_name}", ", {degree}"),
    "given_middle_family": ("{given_name}", " {middle_name}", " {family_name}"),
    "title_given_middle_family": ("{title}", " {given_name}", " {middle_name}", " {family_name}"),
    "family_given": ("{family_name}", " {given_name}"),
    "family_nospace_given": ("{family_name}", "{given_name}"),
    "family_comma_given": ("{family_name}", ", {given_name}"),
    "full": ("{full_name}",),
    "calling_full": ("{full_name}",),
    "full_transcription": ("{full_name}",),
    "salutation_given_family": _GIVEN_FAMILY,
    "salutation_title_given_family": ("{title}", " {given_name}", " {family_name}"),
    "salutation_title_given_family_degree": ("{title}", " {given_name}", " {family_name}", ", {degree}"),
}
"""The parts in order, each with what separates it from the part before; parts that are missing leave no separator."""
_SCHEMES = {
    name: [(before, key.rstrip("}")) for before, _, key in [piece.partition("{") for piece in pattern]]
    for name, pattern in _PATTERNS.items()
}


def scheme_of(event: Event) -> str:
    """Return the name scheme that parts without one are read by."""
    return str(event.settings.get("name_scheme") or DEFAULT_SCHEME)


def full_name(parts: Mapping[str, Any], event: Event) -> str:
    """Return the name that `parts` make; parts of a scheme that they do not follow make none."""
    if LEGACY in parts:
        return str(parts[LEGACY] or "")
    scheme = parts.get(SCHEME) or scheme_of(event)
    name = ""
    for before, key in _SCHEMES.get(scheme, _SCHEMES[DEFAULT_SCHEME]):
        if value := parts.get(key):
            name += f"{before if name else ''}{value}"
    return name.strip()


def attendee_name(parts: Mapping[str, Any], event: Event) -> str | None:
    """Return an attendee's name; None if nothing is known about it."""
    return full_name(parts, event) if parts else None


def with_scheme(parts: dict[str, Any], event: Event) -> dict[str, Any]:
    """Return parts that say which scheme they follow, as orders keep them; carts keep them as sent."""
    if not parts or LEGACY in parts or SCHEME in parts:
        return parts
    return {SCHEME: scheme_of(event), **parts}
