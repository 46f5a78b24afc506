"""A plain blocking client for setting things up and for looking at availability."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec

from loadtests.target import Target


class ApiError(Exception):
    """The server answered something else than what setting up needs."""


class Api:
    """One kept-alive connection to one organizer. `answered` has the headers of the last answer.

    Not for use by two threads at once.
    """

    def __init__(self, target: Target) -> None:
        parts = urlsplit(target.base_url)
        self.root = f"{parts.path.rstrip('/')}/api/v1/organizers/{target.organizer}/"
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(parts.netloc, timeout=30)
        self.answered = http.client.HTTPMessage()
        self._headers = {"Authorization": f"Token {target.token}", "Accept": "application/json"}

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        """Return status and decoded body. `path` is relative to the organizer."""
        content = None if body is None else msgspec.json.encode(body)
        headers = self._headers if content is None else {**self._headers, "Content-Type": "application/json"}
        try:
            self._connection.request(method, self.root + path, content, headers)
            response = self._connection.getresponse()
            text = response.read()
            self.answered = response.headers
        except (OSError, http.client.HTTPException):
            self._connection.close()
            raise
        try:
            return response.status, msgspec.json.decode(text) if text else None
        except msgspec.DecodeError:
            return response.status, text.decode(errors="replace")

    def must(self, method: str, path: str, body: object, status: int) -> Any:
        """Return the decoded body of an answer that has this status. Raises ApiError."""
        found, answer = self.ask(method, path, body)
        if found != status:
            raise ApiError(f"{method} {path} was answered {found} instead of {status}: {str(answer)[:500]}")
        return answer

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
