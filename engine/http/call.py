"""One request on its way through the house, and the reply to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal
from email.message import Message
from email.parser import BytesParser
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from aiohttp import web
from msgspec import Struct, msgpack

from engine.domain.errors import Invalid, TooLarge, Unreadable, UnsupportedMedia
from engine.http.bodies import arrived
from engine.http.fields import SentForm
from engine.ledger.replies import Claim, Kept

if TYPE_CHECKING:
    from engine.domain.catalogue import Event
    from engine.http.auth import Principal
    from engine.http.incoming import Incoming
    from engine.http.routing import Handler
    from engine.sales.house import House

_FORM_FIELDS_MAX = 1000

_json_decoder = msgspec.json.Decoder(float_hook=Decimal)
_json_encoder = msgspec.json.Encoder()
_encoded = bytearray()
"""Where replies are put together: it has grown by then as much as a new one would have to, step by step."""
_YES = ("true", "1")


class Reply(Struct, frozen=True, tag="reply"):
    """Status, JSON body (None for no body) and extra headers. Plain data, so that it can be stored and replayed.

    A `secret` one is shown once and stored nowhere.
    """

    status: int
    body: bytes | None = None
    headers: dict[str, str] = {}
    secret: bool = False


def reply(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Reply:
    """Return a JSON reply. Decimal goes out as a string, datetimes as ISO 8601 with Z."""
    _json_encoder.encode_into(value, _encoded)
    return Reply(status, bytes(_encoded), headers or {})


NO_CONTENT = Reply(204)


def unconfirmed(done: Reply) -> Reply:
    """Return a reply that tells of an order, as it is while Postgres has been away too long to confirm it: 202."""
    if done.body is None:
        return Reply(202, b'{"durable":false}', done.headers)
    return Reply(202, done.body[:-1] + b',"durable":false}', done.headers)


class Call:
    """A request after routing and authentication: what handlers get.

    `params` are the named parts of the path as text, `query` the last value of each query parameter (`query_all` has
    all), `house` the stores and services, `principal` whose token it is, `event` the one that is meant, `handler` who
    answers, `claim` its idempotency key, if any.
    """

    __slots__ = ("_raw", "claim", "event", "handler", "house", "params", "principal", "request")

    def __init__(
        self, house: House, request: Incoming, principal: Principal, event: Event | None, handler: Handler
    ) -> None:
        self.house = house
        self.request = request
        self.params = request.line.params
        self.principal = principal
        self.event = event
        self.handler = handler
        self.claim: Claim | None = None
        self._raw = request.body

    @property
    def query(self) -> Mapping[str, str]:
        return dict(self.request.query.items())

    def query_all(self, name: str) -> list[str]:
        return self.request.query.getall(name, [])

    def asked(self, name: str) -> bool:
        """Tell whether the query says yes to something."""
        return bool(self.request.query_string) and self.query.get(name, "").lower() in _YES

    def number(self, name: str) -> int | None:
        """Return a path parameter as an id, or None if it cannot be one (then nothing has it: 404)."""
        text = self.params[name]
        return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None

    def kept(self, done: Struct) -> Kept | None:
        """Return what a script has to keep with its work, so that engine/http/idempotency.py can reply it again."""
        return None if self.claim is None else Kept(self.claim, msgpack.encode(done))

    @property
    def at_hand(self) -> bytes | None:
        """The body, if it is there and not too long: `raw_body` without waiting."""
        raw = self._raw
        return None if raw is None or len(raw) > self.house.settings.body_bytes_max else raw

    async def raw_body(self) -> bytes:
        """Return the body as it came. Raises Unreadable, TooLarge, TooSlow."""
        if self._raw is None:
            content = self.request.content
            there = content.is_eof()
            try:
                self._raw = content.read_nowait() if there else await arrived(self.request, self.house.settings)
            except (web.RequestPayloadError, ConnectionError):
                raise Unreadable from None
        if len(self._raw) > self.house.settings.body_bytes_max:
            raise TooLarge
        return self._raw

    async def body(self) -> Any:
        """Return the decoded body; an empty one is {}.

        Raises Invalid (malformed), UnsupportedMedia (neither JSON nor a form), Unreadable, TooLarge, TooSlow.
        """
        raw = self._raw
        if raw is None or len(raw) > self.house.settings.body_bytes_max:
            raw = await self.raw_body()
        if not raw:
            return {}
        media_type = self.request.fields.content_type
        if media_type in ("application/json", "text/json") or media_type.endswith("+json"):
            return decode(raw)
        if media_type == "application/x-www-form-urlencoded":
            return _urlencoded(raw)
        if media_type == "multipart/form-data":
            return _form(self.request.headers.get("Content-Type", ""), raw)
        raise UnsupportedMedia(_shown(self.request.headers.get("Content-Type", "")))

    @property
    def is_json(self) -> bool:
        """Whether the body certainly says that it is JSON."""
        return self.request.fields.is_json

    def url(self, path: str) -> str:
        """Return `path` as an absolute URL of this server, as the client reaches it."""
        fields = self.request.fields
        if not fields.origin:
            fields.origin = f"{self.request.scheme}://{_shown(self.request.host)}"
        return fields.origin + path

    def page_url(self, page: int) -> str:
        """Return the URL of another page of this list, parameters by name; page 1 has no `page` parameter."""
        query = [(k, v) for k, v in self.request.query.items() if k != "page"]
        if page > 1:
            query.append(("page", str(page)))
        query.sort(key=itemgetter(0))
        text = f"?{urlencode(query)}" if query else ""
        return self.url(f"{self.request.path}{text}")


def _urlencoded(raw: bytes) -> SentForm:
    """Return the fields of a form. Raises Invalid."""
    try:
        found = parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_FORM_FIELDS_MAX)
    except ValueError:
        raise Invalid.detail(f"A form can have at most {_FORM_FIELDS_MAX} fields.") from None
    return SentForm(found)


def _form(content_type: str, raw: bytes) -> SentForm:
    """Return the fields of a multipart form that are no files. Raises Invalid."""
    head = b"Content-Type: %b\r\n\r\n" % content_type.encode("utf-8", "surrogateescape")
    try:
        message = BytesParser().parsebytes(head + raw)
    except RecursionError:
        raise Invalid.detail("Multipart form parse error - Too many parts in parts") from None
    if not message.is_multipart():
        raise Invalid.detail("Multipart form parse error - Invalid boundary in multipart")
    found = []
    for part in message.get_payload():
        if isinstance(part, Message) and not part.is_multipart() and part.get_filename() is None:
            name, value = part.get_param("name", header="content-disposition"), part.get_payload(decode=True)
            if isinstance(name, str) and isinstance(value, bytes):
                found.append((name, value.decode("utf-8", "replace")))
    return SentForm(found)


def _shown(header: str) -> str:
    """Return a header's text in a form that an answer can have; bytes that are no text came as lone surrogates."""
    return header if header.isascii() else header.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def decode(raw: bytes) -> Any:
    """Return decoded JSON with numbers exact (Decimal). Raises Invalid with pretix's text if malformed."""
    try:
        return _json_decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:
        # msgspec and pretix's parser word their complaints differently; clients show the latter
        json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
        raise ValueError("Invalid number or text")
    except (ValueError, RecursionError) as error:
        raise Invalid.detail(f"JSON parse error - {error}") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"Out of range float values are not JSON compliant: {name!r}")
