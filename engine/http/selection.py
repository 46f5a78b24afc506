"""The query parameters `include` and `exclude`: which fields of a resource go out.

(spec/orders.txt, List of all orders)
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Struct

Tree = dict[str, Any]
"""Field name to Tree of its own fields, or to None for all of it."""


class Selection:
    """Which fields are wanted, by dotted names; `include` is applied first, so `exclude` wins."""

    def __init__(self, include: list[str], exclude: list[str]) -> None:
        self._include, self._exclude = _tree(include), _tree(exclude)

    def apply(self, resource: Struct | dict[str, Any]) -> Struct | dict[str, Any]:
        """Return the wanted part of a resource."""
        if not self._include and not self._exclude:
            return resource
        body: dict[str, Any] = msgspec.to_builtins(resource)
        chosen: dict[str, Any] = _kept(body, self._include) if self._include else body
        if not self._exclude:
            return chosen
        left: dict[str, Any] = _without(chosen, self._exclude)
        return left


def _tree(paths: list[str]) -> Tree:
    tree: Tree = {}
    for path in paths:
        *parents, last = path.split(".")
        node: Tree | None = tree
        for parent in parents:
            node = node.setdefault(parent, {}) if node is not None else None
        if node is not None:
            node[last] = None
    return tree


def _kept(value: Any, tree: Tree | None) -> Any:
    if tree is None:
        return value
    if isinstance(value, list):
        return [_kept(row, tree) for row in value]
    if isinstance(value, dict):
        return {name: _kept(inner, tree[name]) for name, inner in value.items() if name in tree}
    return value


def _without(value: Any, tree: Tree) -> Any:
    if isinstance(value, list):
        return [_without(row, tree) for row in value]
    if isinstance(value, dict):
        return {
            name: _without(inner, tree[name]) if tree.get(name) else inner
            for name, inner in value.items()
            if name not in tree or tree[name]
        }
    return value
