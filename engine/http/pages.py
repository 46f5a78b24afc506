"""What anybody may read without a token: the document of the API, a page to try it, and the empty page of a sale."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence
from importlib.resources import files
from mimetypes import guess_type

from engine.domain.errors import MethodNotAllowed, NotFound
from engine.http.call import Reply
from engine.http.document import document
from engine.http.incoming import Incoming
from engine.http.routing import Route

DOCUMENT = "/api/v1/openapi.json"
DOCS = "/api/v1/docs/"

LIVE = "/live/"

_FILES = {
    DOCS: "docs/index.html",
    DOCS + "docs.js": "docs/docs.js",
    DOCS + "docs.css": "docs/docs.css",
    LIVE: "live/index.html",
    LIVE + "live.js": "live/live.js",
    LIVE + "live.css": "live/live.css",
    LIVE + "icon.svg": "live/icon.svg",
}
"""Files in this folder, by their path on the server."""
_METHODS = ("GET", "HEAD")
_HEADERS = {
    "Cache-Control": "no-cache",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}


class Pages:
    """Pages by path, each made when somebody first asks for it and kept, packed and plain."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._make: dict[str, Callable[[], bytes]] = {DOCUMENT: lambda: document(routes)}
        for path, name in _FILES.items():
            self._make[path] = (files("engine.http") / name).read_bytes
        self._kinds = {DOCUMENT: "application/json"} | {
            path: f"{guess_type(name)[0]}; charset=utf-8" for path, name in _FILES.items()
        }
        self._made: dict[str, tuple[Reply, Reply]] = {}

    def reply(self, request: Incoming) -> Reply:
        """Return the page that a request asks for. Raises NotFound, MethodNotAllowed."""
        path = request.path
        if path not in self._make:
            if f"{path}/" in self._make and request.method in _METHODS:
                return Reply(301, None, {"Location": f"{path}/"})
            raise NotFound
        if request.method not in _METHODS:
            raise MethodNotAllowed(request.method, _METHODS)
        if path not in self._made:
            self._made[path] = self._both(path)
        plain, packed = self._made[path]
        return packed if "gzip" in request.headers.get("Accept-Encoding", "") else plain

    def _both(self, path: str) -> tuple[Reply, Reply]:
        body = self._make[path]()
        headers = {"Content-Type": self._kinds[path], **_HEADERS}
        packed = gzip.compress(body, mtime=0)
        return Reply(200, body, headers), Reply(200, packed, {**headers, "Content-Encoding": "gzip"})
