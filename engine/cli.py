"""The `holdfast` command: what can be asked of it. engine/commands/ says what is done."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn, TypeAlias

from engine.commands.failure import CommandFailed
from engine.domain.errors import Fenced
from engine.domain.permissions import PERMISSIONS
from engine.embedded.binaries import ServerMissing
from engine.embedded.process import StartFailed
from engine.settings import SettingsError, from_environment

_FAILED = 1
_INTERRUPTED = 130
_CANNOT = 2
"""Exit status when a setting or a store is the reason; argparse uses the same for wrong options."""

_ENVIRONMENT = """
environment:
  HOLDFAST_REDIS_URL      redis://host:6379/0, rediss://… or unix:///path/to.sock?db=0   (Redis 7+, Valkey 8+)
  HOLDFAST_QUEUE_URL      where arq keeps its queue, a plain Redis; the same unless that is a cluster
  HOLDFAST_DATABASE_URL   postgresql://user:password@host:5432/name                     (Postgres 14+)
The README lists the others."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand and return the exit status: 0 done, 1 found or failed, 2 cannot be done as asked."""
    arguments, rest = parser().parse_known_args(argv)
    if rest and arguments.module != "rush":
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.rest = rest
    try:
        # Loaded by name, so that each process holds only what its subcommand needs.
        status = importlib.import_module(f"engine.commands.{arguments.module}").run(arguments, from_environment())
    except (SettingsError, ServerMissing, StartFailed, Fenced) as error:
        print(f"holdfast {arguments.command}: {error}", file=sys.stderr)
        return _CANNOT
    except CommandFailed as error:
        print(f"holdfast {arguments.command}: {error}", file=sys.stderr)
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    return int(status)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line; the --help is long."""

    def error(self, message: str) -> NoReturn:
        self.exit(_CANNOT, f"{self.prog}: {message} (see {self.prog} --help)\n")


Commands: TypeAlias = "argparse._SubParsersAction[_Parser]"


def parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands; each sets `module`, the file in engine/commands/ that does it."""
    top = _Parser(
        prog="holdfast",
        description="The reservation engine that a ticket shop puts in front of an on-sale rush.",
        epilog="Start with `holdfast up`. Each subcommand has a --help with an example.\n" + _ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _up(commands)
    _serve(commands)
    _worker(commands)
    _migrate(commands)
    _organizer(commands)
    _token(commands)
    _demo(commands)
    _rush(commands)
    _audit(commands)
    _import_pretix(commands)
    _webhooks(commands)
    _mails(commands)
    return top


def _add(commands: Commands, name: str, module: str, line: str, text: str, **defaults: str) -> _Parser:
    """Add a subcommand: `line` for the list, `text` with an example for its own --help."""
    command = commands.add_parser(
        name, help=line, description=f"{line}\n\n{text}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.set_defaults(module=module, **defaults)
    return command


def _up(commands: Commands) -> None:
    text = """\
Starts Redis and Postgres (those of the installed wheels, or else of PATH; none where HOLDFAST_REDIS_URL or
HOLDFAST_DATABASE_URL names a running one), migrates, makes an organizer and a token, starts front doors and a worker,
and sells one ticket over HTTP to show that all of it works. It stays in the foreground, starts again what dies, and
stops everything on Ctrl-C or SIGTERM. The data stays in the data folder.

  holdfast up
  holdfast up --port 0 --no-demo --data-dir /tmp/try --ready-file /tmp/try/ready.json

The ready file is JSON with base_url, token, organizer, redis_url, queue_url, database_url and processes (name: pids).
It is written once requests are answered, again when a child was replaced, and removed at the end."""
    command = _add(commands, "up", "up", "Run everything on this machine, in the foreground.", text)
    _address(command)
    command.add_argument("--data-dir", metavar="FOLDER", type=Path, default=Path("data"), help="default ./data")
    command.add_argument("--organizer", metavar="SLUG", default="bigevents", help="made if missing; default bigevents")
    command.add_argument(
        "--demo", action=argparse.BooleanOptionalAction, default=True, help="sell one ticket at the start; default yes"
    )
    _processes(command, min(2, os.cpu_count() or 1))
    _ready_file(command, "write JSON here once requests are answered")


def _serve(commands: Commands) -> None:
    text = """\
Front doors are processes that share one port; run as many as you like, on as many machines as you like, on the same
Redis and Postgres. Orders are confirmed only while a `holdfast worker` runs somewhere. SIGTERM finishes what is under
way. With more than one process, one that dies is started again.

  holdfast migrate && holdfast serve --host 0.0.0.0 --port 8000 --processes 4"""
    command = _add(commands, "serve", "serve", "Answer HTTP requests.", text)
    _address(command)
    _processes(command, 1)
    _ready_file(command, "write JSON with base_url and pids here once requests are answered")
    command.add_argument("--shared-port", action="store_true", help=argparse.SUPPRESS)


def _worker(commands: Commands) -> None:
    text = """\
An arq worker: it drains what Redis decided into Postgres, which is what an order's 201 waits for, lets unpaid orders
expire and repairs what a lost Redis left. Run two, on two machines, so that one can die.

  holdfast worker"""
    _add(commands, "worker", "worker", "Persist, expire and rebuild, in the background.", text)


def _migrate(commands: Commands) -> None:
    text = """\
Brings the database that HOLDFAST_DATABASE_URL names to the current schema. Safe to run at any time, also by several
at once: one works, the others wait and find nothing to do. `holdfast up` does it by itself.

  HOLDFAST_DATABASE_URL=postgresql://holdfast@db/holdfast holdfast migrate"""
    _add(commands, "migrate", "access", "Create or update the database schema.", text, action="migrate")


def _organizer(commands: Commands) -> None:
    text = "  holdfast organizer create bigevents --name 'Big Events Ltd'"
    group = _add(commands, "organizer", "access", "Manage organizers: who sells.", text)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    text = """\
An organizer owns events and tokens. One that exists already is left as it is.

  holdfast organizer create bigevents --name 'Big Events Ltd'"""
    create = _add(actions, "create", "access", "Create an organizer.", text, action="organizer create")
    create.add_argument("slug", metavar="SLUG", help="its name in URLs: letters, digits, dashes and dots")
    create.add_argument("--name", metavar="NAME", help="its name for people; the slug unless given")


def _token(commands: Commands) -> None:
    text = """\
  TOKEN=$(holdfast token create --organizer bigevents --name shop)
  holdfast token revoke "$TOKEN\""""
    group = _add(commands, "token", "access", "Manage API tokens: who may ask.", text)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    text = f"""\
Prints the token alone. It is shown this once: what is kept is its hash. Without --permission it may do everything in
all events of the organizer.

  holdfast token create --organizer bigevents --name shop --permission can_view_orders --permission can_change_orders

permissions: {", ".join(PERMISSIONS)}"""
    create = _add(actions, "create", "access", "Create a token and print it.", text, action="token create")
    create.add_argument("--organizer", metavar="SLUG", required=True, help="whose events it is for")
    create.add_argument("--name", metavar="NAME", default="created by command", help="what it is for, in your words")
    create.add_argument("--permission", metavar="P", action="append", choices=PERMISSIONS, help="may be given again")
    text = """\
It is refused within a second. With - the token is read from standard input, and stays out of the list of processes.

  holdfast token revoke - < token.txt"""
    revoke = _add(actions, "revoke", "access", "Disable a token for good.", text, action="token revoke")
    revoke.add_argument("token", metavar="TOKEN", help="the token itself, or -")


def _demo(commands: Commands) -> None:
    text = """\
What `holdfast up` shows at its start, against a server that runs already: makes an event with items and quotas unless
an earlier demo did, holds a ticket in a cart, orders it with consume_carts, confirms the payment, looks what is left.

  holdfast demo --ready-file ready.json
  holdfast demo --base-url http://127.0.0.1:8000 --token TOKEN --organizer bigevents"""
    command = _add(commands, "demo", "demo", "Sell one ticket over HTTP.", text)
    command.add_argument("--ready-file", metavar="FILE", type=Path, help="of `holdfast up`; instead of the rest")
    command.add_argument("--base-url", metavar="URL", help="where the server is")
    command.add_argument("--token", metavar="TOKEN", help="may create events and change items and orders")
    command.add_argument("--organizer", metavar="SLUG", default="bigevents", help="default bigevents")


def _rush(commands: Commands) -> None:
    # Its options are in loadtests/rush.py, which knows nothing of the engine; --help is passed on too.
    line = "Let a crowd fight for few tickets, then audit."
    commands.add_parser("rush", help=line, add_help=False).set_defaults(module="rush")


def _audit(commands: Commands) -> None:
    text = """\
Proves from the stores alone that no quota is oversold, that for each quota size = free + held + pending + paid +
blocked, that Redis and Postgres agree order by order, and that payments minus refunds explain each order's state.
Exit status 0: the books are right; 1: they are not.

  HOLDFAST_REDIS_URL=… HOLDFAST_DATABASE_URL=… holdfast audit

With --repair, shards whose counts in Redis are wrong are made anew from Postgres and the holds that are still listed,
and then all is audited again. Nothing is sold for that moment.
What is wrong in Postgres, or was sold twice, is left to you."""
    command = _add(commands, "audit", "audit", "Prove that nothing was oversold and nothing was lost.", text)
    command.add_argument("--json", action="store_true", help="print what was found as JSON")
    command.add_argument("--repair", action="store_true", help="count anew in Redis what was found wrong there")


def _import_pretix(commands: Commands) -> None:
    text = """\
Takes over what is for sale, all orders, vouchers, the waiting list and check-in lists, by pretix's own API. Nobody is
told of it by mail or webhook, and no invoice is issued. It may be interrupted and run again: it goes on, doubles
nothing, and takes over what has changed there meanwhile, unless it was changed here too. Ends with the availability of
each quota on both servers; the exit status is 1 if one differs or if something could not be taken over. A worker has
to run.

  holdfast import-pretix https://pretix.example.org --token - --organizer bigevents --event demo < token.txt
  holdfast import-pretix https://pretix.example.org --token - --organizer bigevents --event demo --follow < token.txt"""
    command = _add(commands, "import-pretix", "import_pretix", "Take an event over from a pretix.", text)
    command.add_argument("url", metavar="URL", help="where pretix is, as https://pretix.example.org")
    command.add_argument("--token", required=True, help="of its API, allowed to see orders and vouchers; - reads it")
    command.add_argument("--organizer", required=True, metavar="SLUG", help="whose event it is there")
    command.add_argument("--event", required=True, metavar="SLUG", help="the event there, and here")
    command.add_argument("--into", metavar="ORGANIZER", help="whose it is going to be; default the same slug")
    command.add_argument("--follow", action="store_true", help="go on with what changes there until Ctrl-C")


def _webhooks(commands: Commands) -> None:
    text = """\
What a webhook does not receive is tried again for three days, then it is dead: it stays here until somebody has it
tried again.

  holdfast webhooks dead
  holdfast webhooks retry"""
    group = _add(commands, "webhooks", "undelivered", "See what webhooks did not receive, and send it again.", text)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    text = "  holdfast webhooks dead"
    _add(actions, "dead", "undelivered", "List what nobody tries to deliver any more.", text, action="webhooks dead")
    text = """\
All that is dead, or the given ones; what belongs to a disabled webhook stays dead.

  holdfast webhooks retry 17 18"""
    retry = _add(actions, "retry", "undelivered", "Try dead notifications again.", text, action="webhooks retry")
    retry.add_argument("ids", metavar="ID", type=_id, nargs="*", help="as `webhooks dead` lists it; all unless given")


def _mails(commands: Commands) -> None:
    text = """\
A mail that is refused for good, or put off for too long, is dead: it stays here until somebody has it tried again.

  holdfast mails dead
  holdfast mails retry"""
    group = _add(commands, "mails", "undelivered", "See which mails could not be sent, and send them again.", text)
    actions = group.add_subparsers(metavar="ACTION", required=True)
    text = "  holdfast mails dead"
    _add(actions, "dead", "undelivered", "List mails that nobody tries to send any more.", text, action="mails dead")
    text = "  holdfast mails retry ABC23"
    retry = _add(actions, "retry", "undelivered", "Try dead mails again.", text, action="mails retry")
    retry.add_argument("codes", metavar="CODE", nargs="*", help="of their orders; all unless given")


def _address(command: argparse.ArgumentParser) -> None:
    command.add_argument("--host", metavar="HOST", default="127.0.0.1", help="where to listen; default 127.0.0.1")
    command.add_argument("--port", metavar="PORT", type=_port, default=8000, help="0 picks a free one; default 8000")


def _processes(command: argparse.ArgumentParser, default: int) -> None:
    text = f"front door processes, one a core is right; default {default}"
    command.add_argument("--processes", metavar="N", type=_count, default=default, help=text)


def _ready_file(command: argparse.ArgumentParser, text: str) -> None:
    command.add_argument("--ready-file", metavar="FILE", type=Path, help=text)


def _port(text: str) -> int:
    return _between(0, 65535, text)


def _count(text: str) -> int:
    return _between(1, 256, text)


def _id(text: str) -> int:
    return _between(1, 2**63 - 1, text)


def _between(least: int, most: int, text: str) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise argparse.ArgumentTypeError(f"must be a number between {least} and {most}, not {text!r}")
    return int(text)
