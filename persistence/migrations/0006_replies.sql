-- What was replied to requests with an idempotency key that made or changed an order, by the name that Redis has for the
-- key; asked for only after Redis has lost its own.
CREATE TABLE replies (
    name    text NOT NULL,
    request text NOT NULL,
    reply   bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT replies_pkey PRIMARY KEY (name)
);
CREATE INDEX replies_kept_at_idx ON replies (kept_at);
