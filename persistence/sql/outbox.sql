-- name: shards all shards: epoch and watermark, and whether an entry was parked lately, which the watermark has passed
SELECT shard, epoch, last_ms, last_seq,
       EXISTS (SELECT FROM parked_entries WHERE parked_entries.shard = shards.shard
                                            AND parked_at > now() - interval '10 minutes') AS parked
FROM shards ORDER BY shard;

-- name: raise_epochs of some shards, made where they are missing; no drain writes with the old epoch after this
INSERT INTO shards (shard, epoch, last_ms, last_seq)
SELECT unnest(%(shards)s::integer[]), 1, 0, 0
ON CONFLICT (shard) DO UPDATE SET epoch = shards.epoch + 1
RETURNING shard, epoch, last_ms, last_seq;

-- name: advance the watermarks of some shards; fails with division by zero unless all stood where the drain thought
-- or if the drain thinks that nobody listens to what becomes of orders, and somebody does
WITH advanced AS (
    UPDATE shards
    SET last_ms = moved.new_ms, last_seq = moved.new_seq
    FROM unnest(%(shard)s::integer[], %(epoch)s::bigint[], %(old_ms)s::bigint[], %(old_seq)s::bigint[],
                %(new_ms)s::bigint[], %(new_seq)s::bigint[])
         AS moved (shard, epoch, old_ms, old_seq, new_ms, new_seq)
    WHERE shards.shard = moved.shard AND shards.epoch = moved.epoch
      AND shards.last_ms = moved.old_ms AND shards.last_seq = moved.old_seq
    RETURNING shards.shard
)
SELECT 1 / (count(*) = cardinality(%(shard)s::integer[])
            AND (%(heard)s::boolean OR NOT EXISTS (SELECT FROM webhooks WHERE enabled)))::integer AS advanced
FROM advanced;

-- name: advance_one the same for one shard, in two thirds of the time
WITH advanced AS (
    UPDATE shards SET last_ms = %(new_ms)s, last_seq = %(new_seq)s
    WHERE shard = %(shard)s AND epoch = %(epoch)s AND last_ms = %(old_ms)s AND last_seq = %(old_seq)s
    RETURNING shard
)
SELECT 1 / (EXISTS (SELECT FROM advanced)
            AND (%(heard)s::boolean OR NOT EXISTS (SELECT FROM webhooks WHERE enabled)))::integer AS advanced;

-- name: heard does anybody listen to what becomes of orders?
SELECT EXISTS (SELECT FROM webhooks WHERE enabled) AS heard;

-- name: close_quotas that closed themselves by selling out, unless a client has spoken since
UPDATE quotas SET closed = true
FROM unnest(%(ids)s::bigint[], %(words)s::bigint[]) AS sold_out (id, word)
WHERE quotas.id = sold_out.id AND quotas.closed_version <= sold_out.word;

-- name: allow units beyond the size of quotas, which somebody has done by force or by making them smaller
UPDATE quotas SET allowance = greatest(quotas.allowance, beyond.units)
FROM unnest(%(ids)s::bigint[], %(units)s::bigint[]) AS beyond (id, units)
WHERE quotas.id = beyond.id;

-- name: park an entry that cannot be written
INSERT INTO parked_entries (shard, entry, body, error)
VALUES (%(shard)s, %(entry)s, %(body)s, %(error)s)
ON CONFLICT ON CONSTRAINT parked_entries_pkey DO NOTHING;

-- name: parked how many entries wait for somebody to look at them
SELECT count(*) AS parked FROM parked_entries;

-- name: lock_try an advisory lock that ends with the connection
SELECT pg_try_advisory_lock(hashtext(%(name)s)) AS got;

-- name: depose whoever has an advisory lock and does nothing: a process that was stopped, or a machine that vanished
-- Postgres' own idle_session_timeout does not end a session that has used a pipeline.
SELECT pg_terminate_backend(holder.pid)
FROM pg_locks JOIN pg_stat_activity AS holder USING (pid)
WHERE pg_locks.locktype = 'advisory' AND pg_locks.granted AND pg_locks.database = holder.datid
  AND holder.datname = current_database()
  AND pg_locks.objid = (hashtext(%(name)s)::bigint & 4294967295)::oid AND pg_locks.objsubid = 1
  -- also in the middle of a pipeline, which Postgres calls active
  AND holder.wait_event = 'ClientRead'
  AND greatest(holder.query_start, holder.state_change) < clock_timestamp() - make_interval(secs => %(silence_s)s);

-- name: require an answer: it comes as long as the connection, and what it has locked, is there
SELECT 1 AS here;

-- name: unlock an advisory lock
SELECT pg_advisory_unlock(hashtext(%(name)s));

-- name: fix_shards the number of shards, once for the installation
UPDATE installation SET shards = coalesce(shards, %(shards)s) RETURNING shards;

-- name: all_events every event, to be sorted into shards
SELECT events.id, events.organizer_id, organizers.slug AS organizer, events.slug
FROM events JOIN organizers ON organizers.id = events.organizer_id
ORDER BY events.id;
