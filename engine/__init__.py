"""Everything that decides: the front door, the rules, the ledger."""
