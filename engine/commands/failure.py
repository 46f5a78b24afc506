"""How a command fails."""

from __future__ import annotations


class CommandFailed(Exception):
    """What was asked could not be done, and no setting is to blame; the message is one line."""
