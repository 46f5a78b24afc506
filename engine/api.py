"""The app and its one route table: the map of the product."""

from __future__ import annotations

from engine.http import (
    access,
    cartpositions,
    contents,
    downloads,
    events,
    invoices,
    order_create,
    orders,
    payments,
    positions,
    quotas,
    refunds,
    seatingplans,
    seats,
    secret_lists,
    webhooks,
)
from engine.http.checkins import CHECKIN_LIST
from engine.http.door import Door
from engine.http.items import ADDON, BUNDLE, CATEGORY, ITEM, TAX_RULE, VARIATION
from engine.http.listener import Listener
from engine.http.operating import Operating
from engine.http.pages import Pages
from engine.http.questions import OPTION, QUESTION
from engine.http.routing import Route, Router
from engine.http.strangers import Strangers
from engine.http.subevents import SUBEVENT
from engine.http.vouchers import VOUCHER
from engine.http.waiting import WAITING_ENTRY
from engine.sales.house import House

O = "/api/v1/organizers/{organizer}/"
E = O + "events/{event}/"

ROUTES: tuple[Route, ...] = (
    # who may ask
    Route("GET", "/api/v1/organizers/", events.list_organizers),
    Route("GET", O, events.organizer_detail),
    Route("GET", O + "teams/", access.list_teams, "can_change_teams"),
    Route("POST", O + "teams/", access.create_team, "can_change_teams"),
    Route("GET", O + "teams/{team}/", access.team_detail, "can_change_teams"),
    Route("PATCH", O + "teams/{team}/", access.patch_team, "can_change_teams"),
    Route("PUT", O + "teams/{team}/", access.put_team, "can_change_teams"),
    Route("DELETE", O + "teams/{team}/", access.delete_team, "can_change_teams"),
    Route("GET", O + "teams/{team}/tokens/", access.list_tokens, "can_change_teams"),
    Route("POST", O + "teams/{team}/tokens/", access.create_token, "can_change_teams"),
    Route("GET", O + "teams/{team}/tokens/{id}/", access.token_detail, "can_change_teams"),
    Route("DELETE", O + "teams/{team}/tokens/{id}/", access.delete_token, "can_change_teams"),
    Route("GET", O + "seatingplans/", seatingplans.index),
    Route("POST", O + "seatingplans/", seatingplans.create, "can_change_organizer_settings"),
    Route("GET", O + "seatingplans/{id}/", seatingplans.detail),
    Route("PATCH", O + "seatingplans/{id}/", seatingplans.patch, "can_change_organizer_settings"),
    Route("PUT", O + "seatingplans/{id}/", seatingplans.put, "can_change_organizer_settings"),
    Route("DELETE", O + "seatingplans/{id}/", seatingplans.delete, "can_change_organizer_settings"),
    Route("GET", O + "webhooks/", webhooks.index, "can_change_organizer_settings"),
    Route("POST", O + "webhooks/", webhooks.create, "can_change_organizer_settings"),
    Route("GET", O + "webhooks/{id}/", webhooks.detail, "can_change_organizer_settings"),
    Route("PATCH", O + "webhooks/{id}/", webhooks.patch, "can_change_organizer_settings"),
    Route("PUT", O + "webhooks/{id}/", webhooks.put, "can_change_organizer_settings"),
    Route("DELETE", O + "webhooks/{id}/", webhooks.delete, "can_change_organizer_settings"),
    Route("DELETE", O + "webhook/{id}/", webhooks.delete, "can_change_organizer_settings"),
    # what is on sale; each resource of the catalogue has list, create, detail, patch, put and delete
    Route("GET", O + "events/", events.list_events),
    Route("POST", O + "events/", events.create_event, "can_create_events"),
    Route("GET", E, events.event_detail),
    Route("PATCH", E, events.patch_event, "can_change_event_settings"),
    Route("PUT", E, events.put_event, "can_change_event_settings"),
    Route("GET", E + "settings/", events.read_settings),
    Route("PATCH", E + "settings/", events.patch_settings, "can_change_event_settings"),
    *SUBEVENT.routes(E + "subevents/", "can_change_event_settings"),
    Route("GET", E + "seats/", seats.index, "can_view_orders"),
    Route("GET", E + "seats/{id}/", seats.detail, "can_view_orders"),
    Route("PATCH", E + "seats/{id}/", seats.patch, "can_change_event_settings"),
    Route("GET", E + "subevents/{subevent}/seats/", seats.index, "can_view_orders"),
    Route("GET", E + "subevents/{subevent}/seats/{id}/", seats.detail, "can_view_orders"),
    Route("PATCH", E + "subevents/{subevent}/seats/{id}/", seats.patch, "can_change_event_settings"),
    *TAX_RULE.routes(E + "taxrules/", "can_change_event_settings"),
    *CATEGORY.routes(E + "categories/", "can_change_items"),
    *ITEM.routes(E + "items/", "can_change_items"),
    *VARIATION.routes(E + "items/{item}/variations/", "can_change_items"),
    *ADDON.routes(E + "items/{item}/addons/", "can_change_items"),
    *BUNDLE.routes(E + "items/{item}/bundles/", "can_change_items"),
    *QUESTION.routes(E + "questions/", "can_change_items"),
    *OPTION.routes(E + "questions/{question}/options/", "can_change_items"),
    # how many there are
    Route("GET", E + "quotas/", quotas.list_quotas),
    Route("POST", E + "quotas/", quotas.create_quota, "can_change_items"),
    Route("GET", E + "quotas/{id}/", quotas.quota_detail),
    Route("PATCH", E + "quotas/{id}/", quotas.patch_quota, "can_change_items"),
    Route("PUT", E + "quotas/{id}/", quotas.put_quota, "can_change_items"),
    Route("DELETE", E + "quotas/{id}/", quotas.delete_quota, "can_change_items"),
    Route("DELETE", E + "quota/{id}/", quotas.delete_quota, "can_change_items"),
    Route("GET", E + "quotas/{id}/availability/", quotas.quota_availability),
    *VOUCHER.routes(E + "vouchers/", "can_change_vouchers"),
    *WAITING_ENTRY.routes(E + "waitinglistentries/", "can_change_orders"),
    *CHECKIN_LIST.routes(E + "checkinlists/", "can_change_event_settings"),
    # what is held and sold
    Route("GET", E + "cartpositions/", cartpositions.index, "can_view_orders"),
    Route("POST", E + "cartpositions/", cartpositions.create, "can_change_orders"),
    Route("POST", E + "cartpositions/bulk_create/", cartpositions.bulk_create, "can_change_orders"),
    Route("GET", E + "cartpositions/{id}/", cartpositions.detail, "can_view_orders"),
    Route("DELETE", E + "cartpositions/{id}/", cartpositions.delete, "can_change_orders"),
    Route("POST", E + "orders/", order_create.create, "can_change_orders"),
    Route("GET", O + "orders/", orders.index_organizer, "can_view_orders"),
    Route("GET", E + "orders/", orders.index, "can_view_orders"),
    Route("GET", E + "orders/{code}/", orders.detail, "can_view_orders"),
    Route("PATCH", E + "orders/{code}/", orders.patch, "can_change_orders"),
    Route("DELETE", E + "orders/{code}/", orders.delete, "can_change_orders"),
    Route("GET", E + "orderpositions/", positions.index, "can_view_orders"),
    Route("POST", E + "orderpositions/", positions.create, "can_change_orders"),
    Route("GET", E + "orderpositions/{id}/", positions.detail, "can_view_orders"),
    Route("PATCH", E + "orderpositions/{id}/", positions.patch, "can_change_orders"),
    Route("DELETE", E + "orderpositions/{id}/", positions.delete, "can_change_orders"),
    # its tickets as files
    Route("GET", E + "orders/{code}/download/{output}/", downloads.order_file, "can_view_orders"),
    Route("GET", E + "orderpositions/{id}/download/{output}/", downloads.position_file, "can_view_orders"),
    # what happens to an order
    Route("POST", E + "orders/{code}/mark_paid/", orders.mark_paid, "can_change_orders"),
    Route("POST", E + "orders/{code}/mark_canceled/", orders.mark_canceled, "can_change_orders"),
    Route("POST", E + "orders/{code}/mark_pending/", orders.mark_pending, "can_change_orders"),
    Route("POST", E + "orders/{code}/mark_expired/", orders.mark_expired, "can_change_orders"),
    Route("POST", E + "orders/{code}/reactivate/", orders.reactivate, "can_change_orders"),
    Route("POST", E + "orders/{code}/extend/", orders.extend, "can_change_orders"),
    Route("POST", E + "orders/{code}/approve/", orders.approve, "can_change_orders"),
    Route("POST", E + "orders/{code}/deny/", orders.deny, "can_change_orders"),
    Route("POST", E + "orders/{code}/resend_link/", orders.resend_link, "can_change_orders"),
    Route("POST", E + "orders/{code}/change/", contents.change, "can_change_orders"),
    # its invoices
    Route("POST", E + "orders/{code}/create_invoice/", invoices.create, "can_change_orders"),
    Route("GET", O + "invoices/", invoices.index_organizer, "can_view_orders"),
    Route("GET", E + "invoices/", invoices.index, "can_view_orders"),
    Route("GET", E + "invoices/{number}/", invoices.detail, "can_view_orders"),
    Route("GET", E + "invoices/{number}/download/", invoices.download, "can_view_orders"),
    Route("POST", E + "invoices/{number}/reissue/", invoices.reissue, "can_change_orders"),
    Route("POST", E + "invoices/{number}/regenerate/", invoices.regenerate, "can_change_orders"),
    # its secrets
    Route("POST", E + "orders/{code}/regenerate_secrets/", positions.regenerate_order_secrets, "can_change_orders"),
    Route("POST", E + "orderpositions/{id}/regenerate_secrets/", positions.regenerate_secrets, "can_change_orders"),
    Route("POST", E + "orderpositions/{id}/add_block/", positions.add_block, "can_change_orders"),
    Route("POST", E + "orderpositions/{id}/remove_block/", positions.remove_block, "can_change_orders"),
    Route("GET", E + "revokedsecrets/", secret_lists.revoked, "can_view_orders"),
    Route("GET", E + "blockedsecrets/", secret_lists.blocked, "can_view_orders"),
    # its money
    Route("GET", E + "orders/{code}/payments/", payments.index, "can_view_orders"),
    Route("POST", E + "orders/{code}/payments/", payments.create, "can_change_orders"),
    Route("GET", E + "orders/{code}/payments/{local_id}/", payments.detail, "can_view_orders"),
    Route("POST", E + "orders/{code}/payments/{local_id}/confirm/", payments.confirm, "can_change_orders"),
    Route("POST", E + "orders/{code}/payments/{local_id}/cancel/", payments.cancel, "can_change_orders"),
    Route("POST", E + "orders/{code}/payments/{local_id}/refund/", payments.refund, "can_change_orders"),
    Route("GET", E + "orders/{code}/refunds/", refunds.index, "can_view_orders"),
    Route("POST", E + "orders/{code}/refunds/", refunds.create, "can_change_orders"),
    Route("GET", E + "orders/{code}/refunds/{local_id}/", refunds.detail, "can_view_orders"),
    Route("POST", E + "orders/{code}/refunds/{local_id}/done/", refunds.done, "can_change_orders"),
    Route("POST", E + "orders/{code}/refunds/{local_id}/process/", refunds.process, "can_change_orders"),
    Route("POST", E + "orders/{code}/refunds/{local_id}/cancel/", refunds.cancel, "can_change_orders"),
)


def server(house: House) -> Listener:
    """Return the aiohttp server that answers every request with the route table, and tells of it (docs/api.md)."""
    strangers = Strangers(house)
    operating = Operating(house, strangers)
    door = Door(house, Router(ROUTES), Pages(ROUTES), strangers)
    return Listener(door, operating.by_path, house.settings, operating.close)
