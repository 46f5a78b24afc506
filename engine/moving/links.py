"""What things of a catalogue name by their ids, named by ours.

Whoever names what was not taken over goes without it, and that is told of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from engine.http.catalogue import Body
from engine.moving.ids import Ids, Problems


class Links:
    """Rewrites what the source says of each kind of thing."""

    def __init__(self, ids: Ids, problems: Problems) -> None:
        self._ids, self._problems = ids, problems

    def one(self, kind: str, theirs: Any, of: str) -> int | None:
        """Return our id of what a thing names; None, and a problem, if it was not taken over."""
        if theirs is None:
            return None
        ours = self._ids.ours(kind, theirs)
        if ours is None:
            self._problems.add(of, f"names {kind} {theirs}, which was not taken over")
        return ours

    def many(self, kind: str, theirs: Sequence[Any] | None, of: str) -> list[int]:
        """Return our ids of those that were taken over."""
        return [ours for one in theirs or () if (ours := self.one(kind, one, of)) is not None]

    def seated(self, body: Body, of: str) -> Body:
        """Return the plan of an event or a date, and its categories."""
        plan = self.one("seating_plan", body.get("seating_plan"), of)
        mapping = body.get("seat_category_mapping") or {}
        items = {category: self.one("item", item, of) for category, item in mapping.items() if item is not None}
        known = {category: item for category, item in items.items() if item is not None}
        return {"seating_plan": plan, "seat_category_mapping": known if plan is not None else {}}

    def date(self, row: Body) -> Body:
        of = f"subevent {row['id']}"
        body = row | self.seated(row, of)
        for name, kind, table in (
            ("item_price_overrides", "item", "item"),
            ("variation_price_overrides", "variation", "variation"),
        ):
            prices = [price | {kind: self.one(table, price.get(kind), of)} for price in row.get(name) or ()]
            body[name] = [price for price in prices if price[kind] is not None]
        return body

    def item(self, row: Body) -> Body:
        """Return an item without what is nested in it."""
        of = f"item {row['id']}"
        body = {name: value for name, value in row.items() if name not in ("variations", "addons", "bundles")}
        body["category"] = self.one("category", row.get("category"), of)
        body["tax_rule"] = self.one("tax_rule", row.get("tax_rule"), of)
        for name in ("hidden_if_available", "hidden_if_item_available"):
            if body.get(name) is not None:
                self._problems.add(of, f"{name} ({body[name]}) has no effect here and was left out")
                body[name] = None
        return body

    def bundle(self, row: Body) -> Body:
        return row | {
            "bundled_item": self.one("item", row["bundled_item"], "bundle"),
            "bundled_variation": self.one("variation", row.get("bundled_variation"), "bundle"),
        }

    def question(self, row: Body) -> Body:
        """Return a question without its options."""
        of = f"question {row['id']}"
        body = {name: value for name, value in row.items() if name != "options"}
        body["items"] = self.many("item", row.get("items"), of)
        body["dependency_question"] = self.one("question", row.get("dependency_question"), of)
        return body

    def quota(self, row: Body) -> Body:
        of = f"quota {row['id']}"
        return row | {
            "items": self.many("item", row.get("items"), of),
            "variations": self.many("variation", row.get("variations"), of),
            "subevent": self.one("subevent", row.get("subevent"), of),
        }

    def voucher(self, row: Body) -> Body:
        of = f"voucher {row['id']}"
        return row | {name: self.one(name, row.get(name), of) for name in ("item", "variation", "quota", "subevent")}

    def waiting_entry(self, row: Body) -> Body:
        """Return an entry without its name, which is made of the name's parts."""
        of = f"waiting_entry {row['id']}"
        body = {name: value for name, value in row.items() if name != "name"}
        return body | {name: self.one(name, row.get(name), of) for name in ("item", "variation", "subevent")}

    def checkin_list(self, row: Body) -> Body:
        of = f"checkin_list {row['id']}"
        return row | {
            "limit_products": self.many("item", row.get("limit_products"), of),
            "subevent": self.one("subevent", row.get("subevent"), of),
            "rules": self._rules(row.get("rules") or {}, of),
        }

    def _rules(self, rules: Any, of: str) -> Any:
        """Return rules of entry with our ids where they look products up."""
        if isinstance(rules, dict):
            looked_up = rules.get("lookup")
            kinds = {"product": "item", "variation": "variation"}
            if isinstance(looked_up, list) and len(looked_up) >= 2 and looked_up[0] in kinds:
                ours = self.one(kinds[looked_up[0]], looked_up[1], of)
                return rules | {"lookup": [looked_up[0], str(ours), *looked_up[2:]]}
            return {name: self._rules(value, of) for name, value in rules.items()}
        return [self._rules(value, of) for value in rules] if isinstance(rules, list) else rules
