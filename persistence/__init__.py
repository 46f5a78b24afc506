"""Postgres remembers: the only place with SQL."""
