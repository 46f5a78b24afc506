"""Settings of an event: what holds until a client says otherwise (PATCH settings/), under pretix's names."""

from __future__ import annotations

from typing import Any

MAIL_TEMPLATES: tuple[str, ...] = (
    "order_placed",
    "order_placed_require_approval",
    "order_paid",
    "order_free",
    "order_approved",
    "order_approved_free",
    "order_denied",
    "order_canceled",
    "order_changed",
    "resend_link",
)
"""Mails that an organizer may have words of his own for: settings mail_subject_… and mail_text_… (docs/mails.md)."""

DEFAULTS: dict[str, Any] = {
    "locales": ["en"],
    "locale": "en",
    "region": None,
    "timezone": "UTC",
    "name_scheme": "given_family",
    "reservation_time": 30,
    "max_items_per_order": 10,
    "attendee_names_asked": True,
    "attendee_names_required": False,
    "attendee_emails_asked": False,
    "attendee_emails_required": False,
    "attendee_company_asked": False,
    "attendee_addresses_asked": False,
    "order_phone_asked": False,
    "payment_term_mode": "days",
    "payment_term_days": 14,
    "payment_term_weekdays": True,
    "payment_term_minutes": 30,
    "payment_term_last": None,
    "payment_term_expire_automatically": True,
    "payment_term_accept_late": True,
    "invoice_address_asked": True,
    "invoice_address_required": False,
    "invoice_generate": "False",
    "invoice_generate_sales_channels": ["web"],
    "invoice_numbers_consecutive": True,
    "invoice_numbers_counter_length": 5,
    "invoice_numbers_prefix": "",
    "invoice_numbers_prefix_cancellations": "",
    "invoice_include_free": True,
    "invoice_include_expire_date": True,
    "invoice_attendee_name": True,
    "invoice_eu_currencies": True,
    "invoice_regenerate_allowed": False,
    "invoice_language": "__user__",
    "invoice_address_from_name": "",
    "invoice_address_from": "",
    "invoice_address_from_zipcode": "",
    "invoice_address_from_city": "",
    "invoice_address_from_country": None,
    "invoice_address_from_tax_id": "",
    "invoice_address_from_vat_id": "",
    "invoice_introductory_text": {},
    "invoice_additional_text": {},
    "invoice_footer_text": {},
    "ticket_download": True,
    "ticket_download_date": None,
    "ticket_download_addons": False,
    "ticket_download_nonadm": True,
    "ticket_download_pending": False,
    "mail_from": None,
    "mail_from_name": None,
    "mail_text_signature": {},
    **{f"mail_{part}_{name}": {} for name in MAIL_TEMPLATES for part in ("subject", "text")},
    "contact_mail": None,
    "imprint_url": None,
    "presale_start_show_date": True,
    "show_quota_left": False,
    "waiting_list_enabled": False,
    "cancel_allow_user": True,
    "cancel_allow_user_paid": False,
}
"""`reservation_time` and `payment_term_minutes` are minutes. Settings that are not listed are kept as they are sent."""


def effective(stored: dict[str, Any]) -> dict[str, Any]:
    """Return all settings of an event that has these stored."""
    return DEFAULTS | stored
