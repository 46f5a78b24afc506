"""The model's answer to each script, by the script's name."""

from __future__ import annotations

from tests.simulator import catalogue_scripts, hold_scripts, order_scripts

ANSWERS = {
    name: function
    for module in (hold_scripts, order_scripts, catalogue_scripts)
    for name, function in vars(module).items()
    if getattr(function, "__module__", "") == module.__name__ and not name.startswith("_")
}
"""Each takes (memory, keys, arguments, now in ms); event_rebuild the orders that Postgres has as well."""
