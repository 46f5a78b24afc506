-- name: lock one migrator at a time, until the transaction ends
SELECT pg_advisory_xact_lock(hashtext('holdfast migrations'));

-- name: create_table where the files applied so far are listed
CREATE TABLE IF NOT EXISTS migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());

-- name: applied names of files applied so far
SELECT name FROM migrations;

-- name: record a file as applied
INSERT INTO migrations (name) VALUES (%(name)s);
