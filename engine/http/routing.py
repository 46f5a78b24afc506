"""From a request to its handler: path, then token, then rights, and only then the body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from engine.domain.errors import MethodNotAllowed, NotFound
from engine.http.call import Call, Reply

Handler = Callable[[Call], Awaitable[Reply]]


class Route(Struct, frozen=True):
    """One line of the route table: what may be asked, who answers, and which right it takes (None: any token)."""

    method: str
    path: str
    handler: Handler
    permission: str | None = None


class _Node:
    """One step of a path: literal next steps, at most one named step, and what ends here by method."""

    __slots__ = ("literal", "name", "named", "routes")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.name = ""
        self.named: _Node | None = None
        self.routes: dict[str, Route] = {}


class Router:
    """Finds routes by walking the path once; a literal step wins over a named one."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for step in route.path.strip("/").split("/"):
                if step.startswith("{"):
                    node.named = node.named or _Node()
                    node.named.name = step[1:-1]
                    node = node.named
                else:
                    node = node.literal.setdefault(step, _Node())
            if route.method in node.routes:
                raise ValueError(f"two routes for {route.method} {route.path}")
            node.routes[route.method] = route

    def find(self, path: str) -> tuple[dict[str, Route], dict[str, str]]:
        """Return (routes by method, path parameters). Raises NotFound for an unknown path."""
        params: dict[str, str] = {}
        node = self._root
        for step in path.strip("/").split("/"):
            following = node.literal.get(step)
            if following is None:
                following = node.named
                if following is None or not step:
                    raise NotFound
                params[following.name] = step
            node = following
        if not node.routes:
            raise NotFound
        return node.routes, params


def choose(routes: dict[str, Route], method: str) -> Route:
    """Return the route for `method`; HEAD is answered like GET. Raises MethodNotAllowed."""
    route = routes.get("GET" if method == "HEAD" else method)
    if route is None:
        raise MethodNotAllowed(method, tuple(sorted(routes)))
    return route
