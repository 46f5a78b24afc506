-- How far the comparison of Redis with Postgres has come, and what it has found.

CREATE TABLE reconciliation (
    one         boolean NOT NULL DEFAULT true,
    event_id    bigint NOT NULL DEFAULT 0,
    compared    bigint NOT NULL DEFAULT 0,
    passed_over bigint NOT NULL DEFAULT 0,
    rounds      bigint NOT NULL DEFAULT 0,
    round_ended timestamptz,
    CONSTRAINT reconciliation_pkey PRIMARY KEY (one),
    CONSTRAINT reconciliation_one_check CHECK (one)
);
INSERT INTO reconciliation DEFAULT VALUES;

CREATE TABLE differences (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    rule     text NOT NULL,
    place    text NOT NULL,
    expected text NOT NULL,
    found    text NOT NULL,
    cause    text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT differences_pkey PRIMARY KEY (id),
    CONSTRAINT differences_event_fkey FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE INDEX differences_event_idx ON differences (event_id);
