"""From a request to its handler: path, then token, then rights, and only then the body."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from msgspec import Struct

from engine.domain.errors import NotFound
from engine.http.call import Call, Reply

Handler = Callable[[Call], Awaitable[Reply]]


class Route(Struct, frozen=True):
    """One line of the route table: what may be asked, who answers, and which right it takes (None: any token)."""

    method: str
    path: str
    handler: Handler
    permission: str | None = None


class Way(Struct, frozen=True):
    """Where a method leads on paths of one form, as long as this process lives: to a `route`, if there is one.

    `permission` is what it takes; without a route, any right of the path tells who may learn so.
    """

    route: Route | None
    permission: str | None
    path: str
    methods: tuple[str, ...]


class _Node:
    """One step of a path: literal next steps, at most one named step, and what ends here by method."""

    __slots__ = ("literal", "name", "named", "routes", "ways")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.name = ""
        self.named: _Node | None = None
        self.routes: dict[str, Route] = {}
        self.ways: dict[str, Way] = {}


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

    def find(self, method: str, path: str) -> tuple[Way, dict[str, str]]:
        """Return (way, path parameters); HEAD is answered like GET. Raises NotFound for an unknown path."""
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
        way = node.ways.get(method)
        if way is None:
            route = node.routes.get("GET" if method == "HEAD" else method)
            first = route or next(iter(node.routes.values()))
            way = node.ways[method] = Way(route, first.permission, first.path, tuple(sorted(node.routes)))
        return way, params
