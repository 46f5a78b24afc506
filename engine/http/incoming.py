"""A request on its way in, and the memory of heads that came before.

Clients send the same head again and again, but for the path and the length of the body. So the bytes of the first line
and those of the header fields are looked up whole: what they mean follows from them alone, and aiohttp's parser has
worked it out before, within all of its limits. Whatever has not been seen before goes to the parser.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from aiohttp import HttpVersion11, web
from aiohttp.helpers import HeadersMixin
from aiohttp.http import RawRequestMessage, StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDictProxy, MultiDict, MultiDictProxy
from yarl import URL

if TYPE_CHECKING:
    from engine.http.routing import Way

_LINES_MAX = 4000
"""First lines remembered by a process; when there are more, all are forgotten."""
_FIELDS_MAX = 1000
"""The same of header fields, and of those that have come once."""
_LINE_BYTES_MAX = 300
_FIELDS_BYTES_MAX = 2000
"""What is longer is not remembered: all that is comes to less than 10 MB."""

_LINE = re.compile(rb"(GET|POST|PATCH|PUT|DELETE) ((?:/[A-Za-z0-9_-]+)+/) HTTP/1\.1")
"""First lines with one meaning: no query, nothing quoted, nothing that a URL could be tidied of."""

_ABOUT = re.compile(rb"/orders/([A-Z0-9]{1,32})/")
"""The order that a first line is about. Lines are remembered without its code: most orders are asked about once."""
_ABOUT_NONE = "/orders//"

_CHANGING = re.compile(
    rb"\r\n(X-Request-ID|X-Idempotency-Key|traceparent): ([A-Za-z0-9._:/+=@-]{1,128})(?=\r\n|\Z)", re.IGNORECASE
)
"""Fields that are new in each request of a client: the others are remembered without them."""
_TAKEN_OUT = (b"x-request-id", b"x-idempotency-key")
"""Those of them that mean something to us: where one is left, because it is an odd one, nothing is remembered."""

_NO_QUERY: MultiDictProxy[str] = MultiDictProxy(MultiDict())

_ANSWERS = ("json", "*/*", "application/*")
"""What has to be in an Accept header, if there is one, for a client to take our answers."""

UNKNOWN = -1
"""For a number of bytes that nobody knows."""


class Line:
    """The first line of a request; the door notes here which `way` it leads, and with which `params`.

    `form` is what it has in common with those about other orders, if it is about one.
    """

    __slots__ = ("form", "method", "params", "path", "raw_path", "url", "way")

    def __init__(self, method: str, raw_path: str, url: URL | None, form: Line | None = None) -> None:
        self.method = method
        self.raw_path = raw_path
        self.url = url
        """None where the path is all there is."""
        self.path = raw_path if url is None else url.path
        self.form = form
        self.way: Way | None = None
        self.params: dict[str, str] = {}

    def about(self, code: str) -> Line:
        """Return the line of this form that is about an order."""
        line = Line(self.method, self.raw_path.replace(_ABOUT_NONE, f"/orders/{code}/", 1), None, self)
        if self.way is not None:
            line.way, line.params = self.way, {**self.params, "code": code}
        return line

    def lead(self, way: Way, params: dict[str, str]) -> None:
        """Note where the line leads, and with it others of its form."""
        self.way, self.params = way, params
        form = self.form
        if form is not None and form.raw_path.replace(_ABOUT_NONE, f"/orders/{params.get('code')}/", 1) == self.path:
            form.way, form.params = way, params


class Fields(HeadersMixin):
    """The header fields of a request, and those of them that everybody looks at.

    Of those that change, `headers` may have what came first.
    """

    def __init__(self, headers: CIMultiDictProxy[str], body_bytes: int = 0) -> None:
        self._headers = self.headers = headers
        self.body_bytes = body_bytes
        """How long the body is, of those that are remembered."""
        self.accept = headers.get("Accept", "*/*")
        self.takes_json = any(kind in self.accept for kind in _ANSWERS)
        self.authorization = headers.get("Authorization", "")
        self.is_json = self.content_type == "application/json"
        """Whether the body certainly says that it is JSON."""
        self.origin = ""
        """How URLs of this server begin for the client, once somebody has asked."""


class Incoming:
    """A request on its way in. Its body is in `body` if it was there with its head, else it comes as `content`.

    Where `message` is None, its head was remembered.
    """

    __slots__ = (
        "_protocol",
        "body",
        "content",
        "fields",
        "idempotency_key",
        "keep_alive",
        "line",
        "message",
        "request_id",
    )

    def __init__(
        self,
        line: Line,
        fields: Fields,
        protocol: web.RequestHandler,
        *,
        body: bytes | None = None,
        content: StreamReader = EMPTY_PAYLOAD,
        message: RawRequestMessage | None = None,
    ) -> None:
        self.line = line
        self.fields = fields
        self.body = body
        self.content = content
        self.message = message
        self.keep_alive = message is None or not message.should_close
        self.request_id: str | None = None
        self.idempotency_key: str | None = None
        self._protocol = protocol

    @property
    def lasts(self) -> bool:
        """Whether the answer is one of many on its connection, as those are in HTTP/1.1, and one with a body."""
        if self.message is None:
            return self.keep_alive
        return self.keep_alive and self.message.version == HttpVersion11 and self.line.method != "HEAD"

    @property
    def method(self) -> str:
        return self.line.method

    @property
    def path(self) -> str:
        return self.line.path

    @property
    def query_string(self) -> str:
        return "" if self.line.url is None else self.line.url.query_string

    @property
    def query(self) -> MultiDictProxy[str]:
        return _NO_QUERY if self.line.url is None else self.line.url.query

    @property
    def headers(self) -> CIMultiDictProxy[str]:
        return self.fields.headers

    @property
    def host(self) -> str:
        """What the client calls this server."""
        whole = self.message is not None and self.message.url.absolute
        host = None if whole else self.headers.get("Host")
        return self.plain().host if host is None else host

    @property
    def scheme(self) -> str:
        return "https" if self._protocol.ssl_context else "http"

    @property
    def remote(self) -> str | None:
        """The address of the client."""
        return self.plain().remote

    def plain(self, body_bytes_max: int = 0) -> web.BaseRequest:
        """Return the request as aiohttp has it."""
        line, protocol = self.line, self._protocol
        message = self.message
        if message is None:
            url = URL.build(path=line.path, encoded=True)
            message = RawRequestMessage(
                line.method, line.raw_path, HttpVersion11, self.headers, (), False, None, False, False, url
            )
        if not self.keep_alive:
            message = message._replace(should_close=True)
        writer = StreamWriter(protocol, protocol._loop)
        task: Any = protocol._task_handler
        return web.BaseRequest(
            message, self.content, protocol, writer, task, protocol._loop, client_max_size=body_bytes_max
        )

    def change(self, name: bytes, text: str) -> None:
        """Note a header field that is not remembered with the others; the first one of a name counts."""
        if name == b"x-request-id":
            self.request_id = self.request_id or text
        elif name == b"x-idempotency-key":
            self.idempotency_key = self.idempotency_key or text

    def _cancel(self, error: BaseException) -> None:
        """Let whoever still reads the body know that no more of it comes: aiohttp calls this."""
        self.content.set_exception(error)


def understood(message: RawRequestMessage, content: StreamReader, protocol: web.RequestHandler) -> Incoming:
    """Return a request that the parser has read."""
    url = message.url.relative() if message.url.absolute else message.url
    line, fields = Line(message.method, message.path, url), Fields(message.headers)
    request = Incoming(line, fields, protocol, content=content, message=message)
    request.request_id = message.headers.get("X-Request-ID")
    request.idempotency_key = message.headers.get("X-Idempotency-Key")
    return request


class Memory:
    """The heads that one process remembers."""

    def __init__(self) -> None:
        self._lines: dict[bytes, Line] = {}
        self._forms: dict[bytes, Line] = {}
        """Lines without the code of their order: nobody who sends such a line finds it here."""
        self._fields: dict[bytes, Fields] = {}
        self._once: dict[bytes, tuple[CIMultiDictProxy[str], int]] = {}
        """Header fields that have come once: those of clients that send something new each time never come again."""

    def request(self, data: bytes, protocol: web.RequestHandler) -> Incoming | None:
        """Return the request that `data` is, if it is exactly one and nothing in its head is new."""
        start = data.find(b"\r\n")
        end = data.find(b"\r\n\r\n", start)
        if end < 0:
            return None
        sent = data[start:end]
        fields, changing = self._fields.get(sent), None
        if fields is None:
            changing = _CHANGING.split(sent)
            fields = self._unchanging(b"".join(changing[::3]))
        if fields is None or len(data) != end + 4 + fields.body_bytes:
            return None
        line = self._lines.get(data[:start]) or self._line(data[:start])
        if line is None:
            return None
        request = Incoming(line, fields, protocol, body=data[end + 4 :])
        if changing is not None:
            for name, value in zip(changing[1::3], changing[2::3], strict=True):
                request.change(name.lower(), value.decode())
        return request

    def _unchanging(self, sent: bytes) -> Fields | None:
        """Return header fields that are known without those that change, or that come for the second time."""
        once = self._once.pop(sent, None)
        if once is None:
            return self._fields.get(sent)
        if len(self._fields) >= _FIELDS_MAX:
            self._fields.clear()
        fields = self._fields[sent] = Fields(*once)
        return fields

    def _line(self, first: bytes) -> Line | None:
        about = _ABOUT.search(first)
        if about is None:
            return self._new(self._lines, first, first)
        start, end = about.span(1)
        form = first[:start] + first[end:]
        line = self._forms.get(form) or self._new(self._forms, form, first)
        return line and line.about(about[1].decode())

    @staticmethod
    def _new(lines: dict[bytes, Line], kept: bytes, first: bytes) -> Line | None:
        """Remember a first line as what is `kept` of it, if it has one meaning."""
        if len(first) > _LINE_BYTES_MAX or not _LINE.fullmatch(first):
            return None
        if len(lines) >= _LINES_MAX:
            lines.clear()
        method, path, _ = kept.decode().split(" ")
        line = lines[kept] = Line(method, path, None)
        return line

    def learn(self, data: bytes, message: object) -> int:
        """Remember the head of `data`, which the parser understood as `message` and nothing before it.

        Return how many bytes of its body are still to come, UNKNOWN if nobody can tell.
        """
        if not isinstance(message, RawRequestMessage) or message.chunked or message.upgrade:
            return UNKNOWN
        start = data.find(b"\r\n")
        end = data.find(b"\r\n\r\n", start)
        # a parser may skip what comes before a request, and then these are not its first line and its fields
        if end < 0 or not data.startswith(message.method.encode() + b" ") or "Transfer-Encoding" in message.headers:
            return UNKNOWN
        body_bytes = int(message.headers.get("Content-Length", "0"))
        owed = end + 4 + body_bytes - len(data)
        if owed < 0:
            return UNKNOWN
        if (
            message.version == HttpVersion11
            and not message.should_close
            and message.compression is None
            and end - start <= _FIELDS_BYTES_MAX
            and "Host" in message.headers
        ):
            sent = b"".join(_CHANGING.split(data[start:end])[::3])
            if not any(name in sent.lower() for name in _TAKEN_OUT):
                if len(self._once) >= _FIELDS_MAX:
                    self._once.clear()
                self._once[sent] = message.headers, body_bytes
        return owed
