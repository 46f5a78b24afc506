"""Where mails go: to an SMTP server, or into a folder as .eml files."""

from __future__ import annotations

import os
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path

from engine.settings import Settings, SmtpServer, smtp_server

TIMEOUT_S = 10.0
"""How long the server may take over one answer."""

Deliver = Callable[[str, EmailMessage], None]
"""Takes a name for the mail, the same at each try, and the mail. Raises Refused, or Away."""


class Refused(Exception):
    """This mail will not be taken, now or ever."""


class Away(Exception):
    """Mails cannot be delivered at present, or this one cannot."""


@contextmanager
def opened(settings: Settings) -> Iterator[Deliver]:
    """Yield what delivers mails, while the block lasts. Blocks; raises Away if nobody takes them."""
    if settings.smtp_url:
        with _connected(smtp_server(settings.smtp_url)) as deliver:
            yield deliver
    else:
        yield _into(Path(settings.mail_folder))


@contextmanager
def _connected(server: SmtpServer) -> Iterator[Deliver]:
    try:
        connection = _connect(server)
    except (smtplib.SMTPException, OSError) as error:
        raise Away(f"cannot connect: {error}") from error

    def deliver(name: str, message: EmailMessage) -> None:
        try:
            connection.send_message(message)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _by_code(code, text) from error
        except smtplib.SMTPResponseException as error:
            raise _by_code(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Refused(str(error)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise Away(str(error)) from error

    try:
        yield deliver
    finally:
        connection.close()


def _connect(server: SmtpServer) -> smtplib.SMTP:
    context = ssl.create_default_context()
    name = socket.gethostname()  # otherwise smtplib asks the DNS for it, each time
    connection: smtplib.SMTP
    if server.tls:
        connection = smtplib.SMTP_SSL(server.host, server.port, name, timeout=TIMEOUT_S, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, name, timeout=TIMEOUT_S)
    try:
        connection.ehlo_or_helo_if_needed()
        if not server.tls and connection.has_extn("starttls"):
            connection.starttls(context=context)
        if server.user:
            connection.login(server.user, server.password)
    except BaseException:
        connection.close()
        raise
    return connection


def _by_code(code: int, text: bytes | str) -> Exception:
    told = f"{code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"
    return Refused(told) if code >= 500 else Away(told)


def _into(folder: Path) -> Deliver:
    def deliver(name: str, message: EmailMessage) -> None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = folder / f".{name}.part"
            unfinished.write_bytes(message.as_bytes(policy=SMTP))
            os.replace(unfinished, folder / f"{name}.eml")
        except OSError as error:
            raise Away(str(error)) from error

    return deliver
