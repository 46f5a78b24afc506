"""Texts in several languages, and which of them somebody reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.domain.catalogue import Event


def said(text: Mapping[str, Any], locale: str) -> str:
    """Return a translated text in one language: that one, its mother, English, or whichever there is."""
    for key in (locale, locale.replace("_", "-").split("-")[0], "en"):
        if text.get(key):
            return str(text[key])
    return next((str(value) for value in text.values() if value), "")


def own_words(event: Event, name: str, locale: str) -> str:
    """Return what a setting of the event says, in one language if it was given in several."""
    value = event.settings.get(name)
    return said(value, locale).strip() if isinstance(value, dict) else plain(value)


def plain(value: Any) -> str:
    """Return a setting that should be a text; the API keeps whatever it is sent."""
    return value.strip() if isinstance(value, str) else ""
