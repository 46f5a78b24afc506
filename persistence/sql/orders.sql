-- name: note versions of orders that are about to be written, from their rows (persistence/rows.py), for webhooks
-- the version before, those in between, and this one; nothing where nobody listens
-- earlier are documents of the same orders that these overtake, split the ids of orders that came off others
INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
SELECT incoming.id, incoming.organizer_id, incoming.event_id, incoming.id = ANY (%(split)s::bigint[]),
       jsonb_build_array(before.doc::json)
           || (SELECT coalesce(jsonb_agg(e ORDER BY (e ->> 'version')::bigint), '[]')
               FROM jsonb_array_elements(%(earlier)s::jsonb) AS e WHERE (e ->> 'id')::bigint = incoming.id)
           || jsonb_build_array(incoming.doc::json)
FROM unnest(%(orders)s::order_row[]) AS incoming
     LEFT JOIN LATERAL (SELECT doc, version FROM orders WHERE id = incoming.id OFFSET 0) AS before ON true
WHERE EXISTS (SELECT FROM webhooks WHERE enabled)
  AND incoming.organizer_id IN (SELECT organizer_id FROM webhooks WHERE enabled)
  AND coalesce(before.version, 0) < incoming.version
  -- of what came from another server that has told
  AND coalesce((incoming.doc::json ->> 'imported')::bigint, 0) < incoming.version;

-- name: insert orders of which none is there yet, from their rows; fails if one is
WITH written AS (
-- include: inserted_orders
)
-- include: inserted_positions
;

-- name: upsert orders from their rows: new ones, and newer versions of old ones; anything older changes nothing
WITH written AS (
-- include: inserted_orders
    ON CONFLICT ON CONSTRAINT orders_pkey DO UPDATE
    SET version = excluded.version, status = excluded.status, require_approval = excluded.require_approval,
        email = excluded.email, total = excluded.total, expires = excluded.expires,
        last_modified = excluded.last_modified, doc = excluded.doc, stored_at = excluded.stored_at,
        words = excluded.words, long_words = excluded.long_words, search = excluded.search,
        long_search = excluded.long_search, secrets = excluded.secrets, subevent_first = excluded.subevent_first,
        subevent_last = excluded.subevent_last
    WHERE orders.version < excluded.version
    RETURNING id
)
-- include: inserted_positions
    WHERE order_id IN (SELECT id FROM written)
    ON CONFLICT ON CONSTRAINT positions_pkey DO UPDATE
    -- a split moves positions to another order
-- include: newer_position
    WHERE
-- include: position_differs
;

-- name: update orders from their rows: newer versions of those that are there, with the positions that they had; fails else
-- half of what an upsert costs: it looks nothing up twice, and writes no position that is as it was, as most are
WITH written AS (
    UPDATE orders
    SET version = newer.version, status = newer.status, require_approval = newer.require_approval, email = newer.email,
        total = newer.total, expires = newer.expires, last_modified = newer.last_modified, doc = newer.doc,
        -- read after the lock on the table is taken, as sql/horizon.sql needs it
        stored_at = greatest(clock_timestamp(), newer.last_modified), words = newer.words, long_words = newer.long_words,
        search = newer.search, long_search = newer.long_search, secrets = newer.secrets,
        subevent_first = newer.subevent_first, subevent_last = newer.subevent_last
    FROM unnest(%(orders)s::order_row[]) AS newer
    -- the array is what keeps a plan that is made for an empty table from reading all of it later
    WHERE orders.id = newer.id AND orders.version < newer.version
      AND orders.id = ANY (ARRAY(SELECT id FROM unnest(%(orders)s::order_row[])))
    RETURNING orders.id
), there AS MATERIALIZED (
    -- called excluded as in an upsert, which has the rest in common; OFFSET is what keeps a plan from reading all, as above
    SELECT excluded.*, positions.ctid AS place,
-- include: position_differs
           AS differs
    FROM unnest(%(positions)s::position_row[]) AS excluded,
         LATERAL (SELECT positions.ctid, * FROM positions WHERE id = excluded.id OFFSET 0) AS positions
), written_positions AS (
    UPDATE positions
-- include: newer_position
    FROM there AS excluded
    WHERE positions.ctid = excluded.place AND excluded.differs
    RETURNING positions.id
)
SELECT CASE WHEN (SELECT count(*) FROM written) = cardinality(%(orders)s::order_row[])
             AND (SELECT count(*) FROM there WHERE NOT differs) + (SELECT count(*) FROM written_positions)
                 = cardinality(%(positions)s::position_row[])
            THEN '1' ELSE 'not all of them are there' END::integer AS updated;

-- name: upsert_rest what few orders have, from the documents of those just written; nothing of an older version
-- a document leaves out what has its default (engine/domain/order.py)
WITH fresh AS MATERIALIZED (
    SELECT stored.id, incoming.doc
    FROM jsonb_array_elements(%(docs)s::jsonb) AS incoming (doc),
         LATERAL (SELECT id, version FROM orders WHERE id = (incoming.doc ->> 'id')::bigint OFFSET 0) AS stored
    WHERE stored.version = (incoming.doc ->> 'version')::bigint
), written_checkins AS (
    INSERT INTO checkins (id, order_id, position_id, list_id, type, datetime)
    SELECT (c ->> 'id')::bigint, fresh.id, (p ->> 'id')::bigint, (c ->> 'list')::bigint, c ->> 'type',
           (c ->> 'datetime')::timestamptz
    FROM fresh, jsonb_array_elements(fresh.doc -> 'positions') AS p, jsonb_array_elements(p -> 'checkins') AS c
    ON CONFLICT ON CONSTRAINT checkins_pkey DO UPDATE SET order_id = excluded.order_id
), written_blocks AS (
    INSERT INTO blocked_secrets (event_id, order_id, secret, blocked, updated, stored_at)
    SELECT (fresh.doc ->> 'event_id')::bigint, fresh.id, b ->> 'secret', (b ->> 'blocked')::boolean,
           (b ->> 'updated')::timestamptz, greatest(clock_timestamp(), (b ->> 'updated')::timestamptz)
    FROM fresh, jsonb_array_elements(fresh.doc -> 'blocked_secrets') AS b
    ON CONFLICT ON CONSTRAINT blocked_secrets_secret_key DO UPDATE
    SET blocked = excluded.blocked, updated = excluded.updated, stored_at = excluded.stored_at
    -- each version of an order repeats what it knows of blocks
    WHERE (blocked_secrets.blocked, blocked_secrets.updated) IS DISTINCT FROM (excluded.blocked, excluded.updated)
)
INSERT INTO mails (order_id, version, kind, comment)
SELECT fresh.id, (m ->> 'version')::bigint, m ->> 'kind', coalesce(m ->> 'comment', '')
FROM fresh, jsonb_array_elements(fresh.doc -> 'mails') AS m
-- what has been sent stays sent
ON CONFLICT ON CONSTRAINT mails_pkey DO NOTHING;

-- name: row_types ids of the types of rows
SELECT typname, oid::bigint FROM pg_type
WHERE typname = ANY (%(names)s) AND pg_type_is_visible(oid);

-- name: delete orders with all that belongs to them; what clients had claimed for them is free again
WITH deleted AS (
    DELETE FROM orders WHERE id = ANY (%(ids)s)
), deleted_positions AS (
    DELETE FROM positions WHERE id = ANY (ARRAY(SELECT id FROM ids_of_positions WHERE order_id = ANY (%(ids)s)))
), deleted_checkins AS (
    DELETE FROM checkins WHERE order_id = ANY (%(ids)s)
), deleted_blocks AS (
    DELETE FROM blocked_secrets WHERE order_id = ANY (%(ids)s)
), deleted_mails AS (
    DELETE FROM mails WHERE order_id = ANY (%(ids)s)
), deleted_invoices AS (
    DELETE FROM invoices WHERE order_id = ANY (%(ids)s)
), noted AS (
    INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
    SELECT id, organizer_id, event_id, false, jsonb_build_array(doc::json, NULL) FROM orders
    WHERE id = ANY (%(ids)s)
      AND EXISTS (SELECT FROM webhooks WHERE webhooks.enabled AND webhooks.organizer_id = orders.organizer_id)
), deleted_ticket_files AS (
    DELETE FROM ticket_files WHERE order_id = ANY (%(ids)s)
), remembered AS (
    INSERT INTO deleted_orders (id) SELECT unnest(%(ids)s::bigint[]) ON CONFLICT ON CONSTRAINT deleted_orders_pkey DO NOTHING
)
DELETE FROM claims WHERE order_id = ANY (%(ids)s);

-- name: by_code one order of an event
SELECT doc FROM orders WHERE organizer_id = %(organizer_id)s AND code = %(code)s AND event_id = %(event_id)s;

-- name: code_of_position code of the order that a position of an event belongs to
SELECT orders.code FROM positions JOIN orders ON orders.id = positions.order_id
WHERE positions.id = %(id)s AND positions.event_id = %(event_id)s;

-- name: id_of an order of an event
SELECT orders.id FROM orders JOIN events ON events.id = orders.event_id
WHERE orders.organizer_id = events.organizer_id AND orders.code = %(code)s AND orders.event_id = %(event_id)s;

-- name: version of an order
SELECT version FROM orders WHERE id = %(id)s;

-- name: versions of orders
SELECT id, version FROM orders WHERE id = ANY (%(ids)s);

-- name: deleted which of these orders there have been
SELECT id FROM deleted_orders WHERE id = ANY (%(ids)s);

-- name: position_counts how many positions some events have, canceled ones too
SELECT event_id, count(*) AS positions FROM positions WHERE event_id = ANY (%(event_ids)s) GROUP BY event_id;

-- name: stretch when the position of an event was ordered that comes so many after a moment; no row if there are fewer
SELECT ordered_at::text AS until FROM positions
WHERE event_id = %(event_id)s AND ordered_at > %(since)s::timestamptz
ORDER BY ordered_at OFFSET %(positions)s LIMIT 1;

-- name: taken what an event's positions of one stretch of time take, of each kind
SELECT item, coalesce(variation, 0) AS variation, coalesce(subevent, 0) AS subevent, theirs.status, canceled, voucher,
       count(*) AS units, count(*) FILTER (WHERE has_left) AS gone, coalesce(sum(voucher_budget_use), 0) AS spent
-- each looked up: a plan that reads orders whole would do so for each stretch
FROM positions, LATERAL (SELECT status FROM orders WHERE id = positions.order_id OFFSET 0) AS theirs
WHERE event_id = %(event_id)s AND ordered_at >= %(since)s::timestamptz AND ordered_at < %(until)s::timestamptz
GROUP BY 1, 2, 3, 4, 5, 6;

-- name: expired pending orders whose time has passed, oldest first
SELECT orders.id, orders.code, events.slug AS event, events.organizer_id
FROM orders JOIN events ON events.id = orders.event_id
WHERE orders.status = 'n' AND NOT orders.require_approval AND orders.expires < now()
ORDER BY orders.expires
LIMIT %(most)s;

-- name: claim a code or secret that a client chose; one whose order never came to be may be claimed again
INSERT INTO claims (scope, owner_id, value, order_id)
SELECT %(scope)s, %(owner_id)s, %(value)s, %(order_id)s
ON CONFLICT ON CONSTRAINT claims_pkey DO UPDATE SET order_id = excluded.order_id, claimed_at = now()
WHERE claims.claimed_at < now() - interval '5 minutes'
  AND NOT EXISTS (SELECT FROM orders WHERE orders.id = claims.order_id)
RETURNING value;

-- name: unclaim what an order claimed that did not come to be
DELETE FROM claims WHERE order_id = %(order_id)s;

-- name: code_used is there an order with this code?
SELECT 1 AS used FROM orders WHERE organizer_id = %(organizer_id)s AND code = %(code)s;

-- name: secrets_used which of these ticket secrets the event has already
SELECT secret FROM positions
WHERE event_id = %(event_id)s AND secret = ANY(%(secrets)s)
  AND lower(secret) = ANY (ARRAY(SELECT lower(unnest(%(secrets)s::text[]))));
