"""Mails through a real SMTP server: refused, put off, sent again, and never twice without need."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from engine.settings import Settings, SettingsError, from_environment, smtp_server
from tests.conftest import Server, holdfast_up
from workers import post


class Mailbox:
    """Takes what is sent, but for what its rules do not like."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.asked = 0
        self.says = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if address.startswith("nobody@"):
            return "550 No such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        self.asked += 1
        if self.says.startswith("250"):
            self.taken.append(envelope)
        return self.says


class OnAnyPort(Controller):
    def _trigger_server(self) -> None:
        # it asks itself whether it is there, at the port it was told
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@contextmanager
def smtp(mailbox: Mailbox, **options: Any) -> Iterator[str]:
    """Run an SMTP server; yield host:port."""
    controller = OnAnyPort(
        mailbox, hostname="127.0.0.1", port=0, server_hostname="mail.test", ready_timeout=60, **options
    )
    controller.start()
    try:
        yield f"127.0.0.1:{controller.port}"
    finally:
        controller.stop()


def message(to: str = "a@example.org") -> EmailMessage:
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.org", to, "Grüße"
    mail.set_content("Ä\n.\nend\n")
    return mail


def test_a_server_takes_mails_over_one_connection_and_refuses_one_without_harm_to_the_next() -> None:
    mailbox = Mailbox()
    with smtp(mailbox) as address, post.opened(Settings(smtp_url=f"smtp://{address}")) as deliver:
        deliver("1", message())
        with pytest.raises(post.Refused, match="550 No such user"):
            deliver("2", message("nobody@example.org"))
        mailbox.says = "451 Later"
        with pytest.raises(post.Away, match="451 Later"):
            deliver("3", message())
        mailbox.says = "554 Never"
        with pytest.raises(post.Refused, match="554 Never"):
            deliver("3", message())
        mailbox.says = "250 OK"
        deliver("4", message("b@example.org"))
    assert [envelope.rcpt_tos for envelope in mailbox.taken] == [["a@example.org"], ["b@example.org"]]


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
def test_a_server_is_told_who_we_are() -> None:
    said = []

    def check(server: Any, session: Any, envelope: Any, mechanism: str, login: Any) -> AuthResult:
        said.append((login.login, login.password))
        return AuthResult(success=login.password == b"pass:word/1")

    mailbox = Mailbox()
    with smtp(
        mailbox, authenticator=check, auth_required=True, auth_require_tls=False, auth_exclude_mechanism=["LOGIN"]
    ) as address:
        with post.opened(Settings(smtp_url=f"smtp://me%40example.org:pass%3Aword%2F1@{address}")) as deliver:
            deliver("1", message())
        with (
            pytest.raises(post.Away, match="cannot connect"),
            post.opened(Settings(smtp_url=f"smtp://me:wrong@{address}")),
        ):
            pass
    assert said[0] == (b"me@example.org", b"pass:word/1")
    assert len(mailbox.taken) == 1


def test_a_server_that_is_not_there_is_away() -> None:
    with smtp(Mailbox()) as address:
        pass
    with pytest.raises(post.Away, match="cannot connect"), post.opened(Settings(smtp_url=f"smtp://{address}")):
        pass


def test_a_folder_gets_one_file_a_mail_however_often_it_is_written(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "mail"
    with post.opened(Settings(mail_folder=str(folder))) as deliver:
        for name in ("A", "B", "A"):
            deliver(name, message())
    assert sorted(file.name for file in folder.iterdir()) == ["A.eml", "B.eml"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("smtp://mail.example.org", ("mail.example.org", 25, False, "", "", "holdfast@mail.example.org")),
        ("smtps://u:p@h?from=a@b.org", ("h", 465, True, "u", "p", "a@b.org")),
        ("smtp://me%40b.org:p@h:587", ("h", 587, False, "me@b.org", "p", "me@b.org")),
    ],
)
def test_a_url_says_how_to_reach_a_server(url: str, expected: tuple[Any, ...]) -> None:
    server = smtp_server(url)
    assert (server.host, server.port, server.tls, server.user, server.password, server.sender) == expected


@pytest.mark.parametrize(
    "url",
    ["mail.example.org", "http://h", "smtp://", "smtp://h:x", "smtp://:secret@h?from=me", "smtp://h?from=a@b%0aX:"],
)
def test_a_url_that_cannot_be_is_one_line_without_the_password(url: str) -> None:
    with pytest.raises(SettingsError, match="HOLDFAST_SMTP_URL") as caught:
        from_environment({"HOLDFAST_SMTP_URL": url})
    assert "secret" not in str(caught.value)


@pytest.fixture(scope="module")
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory, mailbox: Mailbox) -> Iterator[Server]:
    """A Holdfast that sends its mails to the mailbox."""
    with smtp(mailbox) as address:
        environment = {
            "HOLDFAST_SMTP_URL": f"smtp://{address}?from=shop@example.org",
            "HOLDFAST_PUBLIC_URL": "https://t.org/",
        }
        with holdfast_up(tmp_path_factory.mktemp("up"), "--processes", "1", environment=environment) as server:
            yield server


@pytest.fixture(scope="module")
def ordered(up: Server) -> Iterator[Callable[..., str]]:
    """Make an order whose buyer is told; return its code."""
    root = f"{up.base_url}/api/v1/organizers/{up.organizer}/events/"
    with httpx.Client(headers={"Authorization": f"Token {up.token}"}, timeout=30) as client:

        def post_(path: str, **body: Any) -> Any:
            answer = client.post(root + path, json=body)
            assert answer.status_code == 201, answer.text
            return answer.json()

        post_("", name={"en": "Mail"}, slug="mail", currency="EUR", date_from="2031-01-01T10:00:00Z")
        item = post_("mail/items/", name={"en": "Ticket"}, default_price="23.00")["id"]
        post_("mail/quotas/", name="All", size=None, items=[item], variations=[])
        yield lambda **body: str(
            post_(
                "mail/orders/", **{"email": "a@example.org", "send_email": True, "positions": [{"item": item}]} | body
            )["code"]
        )


def row(up: Server, code: str) -> Any:
    """Return (sent, tries, given up, error) of an order's only mail."""
    sql = """SELECT sent_at IS NOT NULL, tries, due_at = 'infinity', error
             FROM mails JOIN orders ON orders.id = order_id WHERE code = %s"""
    with psycopg.connect(up.database_url) as database:
        return database.execute(sql, [code]).fetchone()


def until(told: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not told():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def make_due(up: Server) -> None:
    with psycopg.connect(up.database_url, autocommit=True) as database:
        database.execute("UPDATE mails SET due_at = now() WHERE sent_at IS NULL AND due_at < 'infinity'")


def test_a_mail_arrives_once(up: Server, mailbox: Mailbox, ordered: Callable[..., str]) -> None:
    code = ordered()
    until(lambda: row(up, code) == (True, 1, False, None))
    [envelope] = [one for one in mailbox.taken if code.encode() in one.content]
    assert (envelope.mail_from, envelope.rcpt_tos) == ("shop@example.org", ["a@example.org"])
    assert f"https://t.org/{up.organizer}/mail/order/{code}/".encode() in envelope.content.replace(b"=\r\n", b"")
    time.sleep(2.5)
    assert sum(code.encode() in one.content for one in mailbox.taken) == 1


def test_a_mail_that_is_put_off_is_tried_again_later(up: Server, mailbox: Mailbox, ordered: Callable[..., str]) -> None:
    mailbox.says = "451 Later"
    code = ordered()
    until(lambda: row(up, code) == (False, 1, False, "451 Later"))
    make_due(up)
    # the second try may still be under way, and then it is the one that works
    until(lambda: row(up, code) == (False, 2, False, "451 Later"))
    mailbox.says = "250 OK"
    make_due(up)
    until(lambda: row(up, code)[0] is True)
    assert sum(code.encode() in one.content for one in mailbox.taken) == 1


def test_a_mail_that_nobody_takes_is_given_up(up: Server, ordered: Callable[..., str]) -> None:
    code = ordered(email="nobody@example.org")
    until(lambda: row(up, code) == (False, 1, True, "550 No such user"))


def test_an_organizer_writes_in_his_own_name_and_words_and_the_operator_answers_for_it(
    up: Server, mailbox: Mailbox, ordered: Callable[..., str]
) -> None:
    url = f"{up.base_url}/api/v1/organizers/{up.organizer}/events/mail/settings/"
    own = {
        "mail_from": "hall@example.net",
        "mail_from_name": "Große \r\nBcc: x@y.z Halle",
        "mail_subject_order_placed": {"en": "Yours: {code} {nothing}"},
        "mail_text_order_placed": {"en": "See {url}\n{event.__class__}", "de": "Siehe {url}"},
    }
    with httpx.Client(headers={"Authorization": f"Token {up.token}"}, timeout=30) as client:
        try:
            shown = client.patch(url, json=own).json()
            assert shown["mail_text_order_placed"] == own["mail_text_order_placed"]
            assert client.patch(url, json={"mail_from": "a@b.c\nBcc: x"}).json() == {
                "mail_from": ["Enter a valid email address."]
            }
            code = ordered()
            until(lambda: row(up, code) == (True, 1, False, None))
        finally:
            shown = client.patch(url, json=dict.fromkeys(own)).json()
    assert (shown["mail_from"], shown["mail_text_order_placed"]) == (None, {})
    [envelope] = [one for one in mailbox.taken if code.encode() in one.content]
    assert envelope.mail_from == "shop@example.org"
    got = message_from_bytes(envelope.content, policy=default)
    assert (got["From"].addresses[0].addr_spec, got["Sender"]) == ("hall@example.net", "shop@example.org")
    assert got["From"].addresses[0].display_name == "Große Bcc: x@y.z Halle"
    assert (got["Bcc"], got["Subject"]) == (None, f"Yours: {code} {{nothing}}")
    link = f"https://t.org/{up.organizer}/mail/order/{code}/"
    assert got.get_content().replace("\r\n", "\n").startswith(f"See {link}")
    assert got.get_content().rstrip().endswith("{event.__class__}")


def test_mails_that_are_given_up_are_listed_and_sent_again(
    up: Server, mailbox: Mailbox, ordered: Callable[..., str]
) -> None:
    def run(*arguments: str) -> str:
        command = [sys.executable, "-m", "engine", "mails", *arguments]
        environment = {**os.environ, "HOLDFAST_DATABASE_URL": up.database_url}
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    mailbox.says = "554 Never"
    code = ordered()
    until(lambda: row(up, code) == (False, 1, True, "554 Never"))
    assert f"mail/{code}  placed\n          to a@example.org\n          554 Never\n" in run("dead")
    mailbox.says = "250 OK"
    assert run("retry", code) == "1 will be tried again\n"
    until(lambda: row(up, code)[0] is True)
    assert code not in run("dead")
