"""`holdfast webhooks` and `holdfast mails`: what could not be delivered, and trying it again."""

from __future__ import annotations

import argparse

from engine.commands import stores
from engine.commands.access import with_database
from engine.domain.errors import Fenced
from engine.settings import Settings, SettingsError
from persistence import mails, webhooks
from persistence.database import Row

_LISTED_MAX = 1000


def run(arguments: argparse.Namespace, settings: Settings) -> int:
    """Do what `arguments.action` says."""
    url = stores.with_postgres(settings).database_url
    try:
        return _ACTIONS[arguments.action](arguments, url)
    except Fenced as error:
        raise SettingsError(str(error)) from None


def _webhooks_dead(arguments: argparse.Namespace, url: str) -> int:
    rows = with_database(url, lambda d: webhooks.dead(d, _LISTED_MAX))
    for row in rows:
        what = f"{row['organizer']}/{row['event']}/{row['code']}  {row['action']}"
        to = f"webhook {row['webhook_id']}{'' if row['enabled'] else ', disabled'}: {_shown(row['target_url'])}"
        _tell(f"{row['id']:>8}  {row['dead_at']:%Y-%m-%d %H:%M}  {what}", to, row["error"])
    return _nothing(rows)


def _webhooks_retry(arguments: argparse.Namespace, url: str) -> int:
    revived = with_database(url, lambda d: webhooks.revive(d, arguments.ids or None))
    print(f"{revived} will be tried again; those of disabled webhooks stay")
    return 0


def _mails_dead(arguments: argparse.Namespace, url: str) -> int:
    rows = with_database(url, lambda d: mails.dead(d, _LISTED_MAX))
    for row in rows:
        what = f"{row['organizer']}/{row['event']}/{row['code']}  {row['kind']}"
        _tell(f"{row['queued_at']:%Y-%m-%d %H:%M}  {what}", f"to {row['email']}", row["error"])
    return _nothing(rows)


def _mails_retry(arguments: argparse.Namespace, url: str) -> int:
    revived = with_database(url, lambda d: mails.revive(d, arguments.codes or None))
    print(f"{revived} will be tried again")
    return 0


def _tell(head: str, to: str, error: str | None) -> None:
    print(f"{head}\n          {to}\n          {error or ''}")


def _nothing(rows: list[Row]) -> int:
    if not rows:
        print("Nothing is dead.")
    return 0


def _shown(url: str) -> str:
    """Return a URL without the user and the password it may have, and without what may be a secret behind it."""
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


_ACTIONS = {
    "webhooks dead": _webhooks_dead,
    "webhooks retry": _webhooks_retry,
    "mails dead": _mails_dead,
    "mails retry": _mails_retry,
}
