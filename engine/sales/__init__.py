"""Use cases: the only place that brings rules, ledger and Postgres together. Handlers and workers call these."""
