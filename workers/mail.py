"""Mails to buyers: written when they are due, sent at least once, and not again once Postgres knows that they went."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Sequence
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from engine.domain.catalogue import Event
from engine.domain.mail_texts import ADDRESS, written
from engine.domain.translated import own_words
from engine.sales.house import House
from engine.settings import Settings, smtp_server
from persistence import mails
from persistence.mails import Due
from workers import post

log = logging.getLogger("holdfast.mail")

BATCH_MAX = 50
"""Mails claimed in one run and sent over one connection; the next run goes on."""
TRIES_MAX = 12
"""After this many a mail is given up: a good day, with the waits of persistence/sql/mails.sql."""
_RUN_S = 30.0
"""A run ends after this, well before the first of its mails is due again; what is left comes back by itself."""
_LOCAL_SENDER = "holdfast@localhost"

Letter = tuple[Due, EmailMessage]


async def send_mails(house: House) -> int:
    """Send mails that are due, at most BATCH_MAX; return how many were claimed.

    Safe to run twice and beside others: a mail that is claimed is nobody else's for a while. A worker that dies after
    the server took a mail and before Postgres knows sends it again, under the same Message-ID.
    """
    claimed = await mails.claim(house.database, BATCH_MAX)
    letters: list[Letter] = []
    for due in claimed:
        known = await house.catalogue.event(due.order.organizer_id, due.event)
        event = await house.catalogue.current(known)
        try:
            letters.append((due, letter(due, event, house.settings)))
        except Exception as wrong:  # the standard library fails in many ways at addresses that are none
            await _give_up(house, due, repr(wrong))
    if letters:
        outcomes = await asyncio.to_thread(_deliver, house.settings, letters)
        for (due, _), error in zip(letters, outcomes, strict=False):
            await _note(house, due, error)
    return len(claimed)


def letter(due: Due, event: Event, settings: Settings) -> EmailMessage:
    """Return a mail as it goes out. Raises whatever the email package does not like."""
    order = due.order
    link = f"{settings.public_url.rstrip('/')}/{event.organizer}/{event.slug}/order/{order.code}/{order.secret}/"
    subject, text = written(
        due.kind, order, event, event_name=due.event_name, organizer=due.organizer, comment=due.comment, link=link
    )
    sender = smtp_server(settings.smtp_url).sender if settings.smtp_url else _LOCAL_SENDER
    message = EmailMessage()
    message["From"] = author = _author(event, sender)
    if sender not in str(author):
        # who answers for it: the envelope has this address, and bounces go there
        message["Sender"] = sender
    message["To"] = order.email or ""
    message["Subject"] = subject
    message["Date"] = format_datetime(due.queued_at)
    # the same at each try, so that whoever gets it twice can tell
    asked_ms = int(due.queued_at.timestamp() * 1000)
    message["Message-ID"] = f"<{order.id}.{due.version}.{due.kind}.{asked_ms}@{sender.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(text)
    return message


def _author(event: Event, sender: str) -> Address | str:
    """Return whom a mail is from: the organizer if the event's settings say so, else the operator."""
    own, name = own_words(event, "mail_from", ""), " ".join(own_words(event, "mail_from_name", "").split())
    if re.fullmatch(ADDRESS, own):
        return Address(name, addr_spec=own)
    return Address(name, addr_spec=sender) if name else sender


def _deliver(settings: Settings, letters: Sequence[Letter]) -> list[Exception | None]:
    """Deliver in a thread of its own; return what went wrong with each, shorter if time ran out."""
    outcomes: list[Exception | None] = []
    end = time.monotonic() + _RUN_S
    try:
        with post.opened(settings) as deliver:
            for due, message in letters:
                if time.monotonic() > end:
                    break
                name = f"{due.order.code}-{due.order.id}-{due.version}-{due.kind}"
                try:
                    deliver(name, message)
                    outcomes.append(None)
                except Exception as wrong:  # whatever it is, it is about this mail, and the others have to go
                    outcomes.append(wrong)
    except post.Away as away:
        return [away] * len(letters)
    return outcomes


async def _note(house: House, due: Due, error: Exception | None) -> None:
    if error is None:
        await mails.sent(house.database, due)
    elif isinstance(error, post.Refused) or due.tries >= TRIES_MAX:
        await _give_up(house, due, str(error))
    else:
        log.warning("mail %s of order %s has not gone out yet: %s", due.kind, due.order.code, error)
        await mails.failed(house.database, due, str(error), last=False)


async def _give_up(house: House, due: Due, error: str) -> None:
    log.error("mail %s of order %s is given up: %s", due.kind, due.order.code, error)
    await mails.failed(house.database, due, error, last=True)
