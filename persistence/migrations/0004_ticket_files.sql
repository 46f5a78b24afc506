-- Files of tickets, made when somebody asks for one and kept for a while: of a whole order (position_id 0) or of one position.
-- made and wanted are what the file shows and what it is to show: the order's version, then a digest of the catalogue.
-- Work is there where they differ and Postgres has the order's version; due_at is moved on by whoever is about to do it.
-- Unlogged, because a crash of the server costs only that the next request has the file made again.
CREATE UNLOGGED TABLE ticket_files (
    order_id    bigint NOT NULL,
    position_id bigint NOT NULL,
    wanted      text NOT NULL,
    version     bigint NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(),
    tries       integer NOT NULL DEFAULT 0,
    error       text,
    made        text,
    file        bytea,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT ticket_files_pkey PRIMARY KEY (order_id, position_id)
);
CREATE INDEX ticket_files_due_idx ON ticket_files (due_at) WHERE made IS DISTINCT FROM wanted;
CREATE INDEX ticket_files_expires_idx ON ticket_files (expires_at);
