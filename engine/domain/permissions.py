"""What a token can be allowed to do, in pretix's words (spec/catalogue.md, teams)."""

from __future__ import annotations

PERMISSIONS: tuple[str, ...] = (
    "can_create_events",
    "can_change_teams",
    "can_change_organizer_settings",
    "can_manage_gift_cards",
    "can_manage_customers",
    "can_manage_reusable_media",
    "can_change_event_settings",
    "can_change_items",
    "can_view_orders",
    "can_change_orders",
    "can_checkin_orders",
    "can_view_vouchers",
    "can_change_vouchers",
)
"""Every permission there is, in the order in which teams show them. Unknown names grant nothing."""
