-- name: note versions of orders that are about to be written, from their rows (persistence/rows.py), for webhooks
-- the version before, those in between, and this one; nothing where nobody listens
-- earlier are documents of the same orders that these overtake, split the ids of orders that came off others
INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
SELECT incoming.id, incoming.organizer_id, incoming.event_id, incoming.id = ANY (%(split)s::bigint[]),
       jsonb_build_array(before.doc)
           || (SELECT coalesce(jsonb_agg(e ORDER BY (e ->> 'version')::bigint), '[]')
               FROM jsonb_array_elements(%(earlier)s::jsonb) AS e WHERE (e ->> 'id')::bigint = incoming.id)
           || jsonb_build_array(incoming.doc)
FROM unnest(%(orders)s::order_row[]) AS incoming
     LEFT JOIN LATERAL (SELECT doc, version FROM orders WHERE id = incoming.id OFFSET 0) AS before ON true
WHERE EXISTS (SELECT FROM webhooks WHERE enabled)
  AND incoming.organizer_id IN (SELECT organizer_id FROM webhooks WHERE enabled)
  AND coalesce(before.version, 0) < incoming.version
  -- of what came from another server that has told
  AND coalesce((incoming.doc ->> 'imported')::bigint, 0) < incoming.version;

-- name: insert orders of which none is there yet, from their rows; fails if one is
WITH written AS (
-- include: inserted_orders
), written_positions AS (
-- include: inserted_positions
)
-- include: inserted_payments
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
), written_positions AS (
-- include: inserted_positions
    WHERE order_id IN (SELECT id FROM written)
    ON CONFLICT ON CONSTRAINT positions_pkey DO UPDATE
    -- a split moves positions to another order
    SET order_id = excluded.order_id, item = excluded.item, variation = excluded.variation,
        subevent = excluded.subevent, price = excluded.price, tax_value = excluded.tax_value,
        canceled = excluded.canceled, secret = excluded.secret, attendee_name = excluded.attendee_name,
        addon_to = excluded.addon_to, voucher = excluded.voucher, pseudonymization_id = excluded.pseudonymization_id,
        has_left = excluded.has_left, status = excluded.status, ordered_at = excluded.ordered_at,
        seat_guid = excluded.seat_guid, voucher_budget_use = excluded.voucher_budget_use,
        checked_in = excluded.checked_in, words = excluded.words, long_words = excluded.long_words,
        search = excluded.search, long_search = excluded.long_search
)
-- include: inserted_payments
    WHERE order_id IN (SELECT id FROM written)
    ON CONFLICT ON CONSTRAINT payments_pkey DO UPDATE
    SET state = excluded.state, provider = excluded.provider, amount = excluded.amount;

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
), written_fees AS (
    INSERT INTO fees (id, order_id, fee_type, value, tax_value, canceled)
    SELECT (f ->> 'id')::bigint, fresh.id, f ->> 'fee_type', (f ->> 'value')::numeric, (f ->> 'tax_value')::numeric,
           coalesce((f ->> 'canceled')::boolean, false)
    FROM fresh, jsonb_array_elements(fresh.doc -> 'fees') AS f
    ON CONFLICT ON CONSTRAINT fees_pkey DO UPDATE
    SET fee_type = excluded.fee_type, value = excluded.value, tax_value = excluded.tax_value,
        canceled = excluded.canceled
), written_refunds AS (
    INSERT INTO refunds (order_id, local_id, state, source, provider, payment, amount)
    SELECT fresh.id, (r ->> 'local_id')::integer, r ->> 'state', r ->> 'source', r ->> 'provider',
           (r ->> 'payment')::integer, (r ->> 'amount')::numeric
    FROM fresh, jsonb_array_elements(fresh.doc -> 'refunds') AS r
    ON CONFLICT ON CONSTRAINT refunds_pkey DO UPDATE
    SET state = excluded.state, amount = excluded.amount
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
    DELETE FROM positions WHERE order_id = ANY (%(ids)s)
), deleted_checkins AS (
    DELETE FROM checkins WHERE order_id = ANY (%(ids)s)
), deleted_fees AS (
    DELETE FROM fees WHERE order_id = ANY (%(ids)s)
), deleted_payments AS (
    DELETE FROM payments WHERE order_id = ANY (%(ids)s)
), deleted_refunds AS (
    DELETE FROM refunds WHERE order_id = ANY (%(ids)s)
), deleted_blocks AS (
    DELETE FROM blocked_secrets WHERE order_id = ANY (%(ids)s)
), deleted_mails AS (
    DELETE FROM mails WHERE order_id = ANY (%(ids)s)
), deleted_invoices AS (
    DELETE FROM invoices WHERE order_id = ANY (%(ids)s)
), noted AS (
    INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
    SELECT id, organizer_id, event_id, false, jsonb_build_array(doc, NULL) FROM orders
    WHERE id = ANY (%(ids)s)
      AND EXISTS (SELECT FROM webhooks WHERE webhooks.enabled AND webhooks.organizer_id = orders.organizer_id)
), deleted_ticket_files AS (
    DELETE FROM ticket_files WHERE order_id = ANY (%(ids)s)
), remembered AS (
    INSERT INTO deleted_orders (id) SELECT unnest(%(ids)s::bigint[]) ON CONFLICT ON CONSTRAINT deleted_orders_pkey DO NOTHING
)
DELETE FROM claims WHERE order_id = ANY (%(ids)s);

-- name: by_code one order of an event
SELECT doc::text AS doc FROM orders WHERE organizer_id = %(organizer_id)s AND code = %(code)s AND event_id = %(event_id)s;

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
SELECT item, coalesce(variation, 0) AS variation, coalesce(subevent, 0) AS subevent, status, canceled, voucher,
       count(*) AS units, count(*) FILTER (WHERE has_left) AS gone, coalesce(sum(voucher_budget_use), 0) AS spent
FROM positions
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
