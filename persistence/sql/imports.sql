-- Events that were taken over from other servers, and which of our ids stands for which of theirs.

-- name: lock out other imports until the session ends
SELECT pg_try_advisory_lock(hashtextextended('import ' || %(source)s::text, %(organizer_id)s)) AS got;

-- name: one import by its source
SELECT imports.id, imports.event_id, imports.placed_until, imports.followed_to, events.slug
FROM imports JOIN events ON events.id = imports.event_id
WHERE imports.organizer_id = %(organizer_id)s AND imports.source = %(source)s;

-- name: add an import
INSERT INTO imports (organizer_id, source, event_id) VALUES (%(organizer_id)s, %(source)s, %(event_id)s) RETURNING id;

-- name: placed how far orders have been looked at in the order in which they were placed
UPDATE imports SET placed_until = %(until)s WHERE id = %(id)s;

-- name: followed what the next look at what has changed begins with
UPDATE imports SET followed_to = %(to)s WHERE id = %(id)s;

-- name: ids of one kind
SELECT theirs, ours, digest FROM import_ids WHERE import_id = %(import_id)s AND kind = %(kind)s;

-- name: some ids of one kind
SELECT theirs, ours FROM import_ids
WHERE import_id = %(import_id)s AND kind = %(kind)s AND theirs = ANY (%(theirs)s::text[]);

-- name: stored how many orders have been taken over and are there
SELECT count(*) AS count FROM import_ids JOIN orders ON orders.id = import_ids.ours
WHERE import_ids.import_id = %(import_id)s AND import_ids.kind = 'order';

-- name: keep an id, or what is known of it by now
INSERT INTO import_ids (import_id, kind, theirs, ours, digest)
SELECT %(import_id)s, %(kind)s, %(theirs)s, %(ours)s, %(digest)s
ON CONFLICT ON CONSTRAINT import_ids_pkey DO UPDATE SET digest = excluded.digest;

-- name: keep_all ids of several kinds
INSERT INTO import_ids (import_id, kind, theirs, ours)
SELECT %(import_id)s, kind, theirs, ours
FROM unnest(%(kinds)s::text[], %(theirs)s::text[], %(ours)s::bigint[]) AS taken (kind, theirs, ours)
ON CONFLICT ON CONSTRAINT import_ids_pkey DO NOTHING;

-- name: claim codes and numbers of codes for their orders, unless others have them; what was claimed before stays so
INSERT INTO claims (scope, owner_id, value, order_id)
SELECT %(scope)s, %(owner_id)s, value, order_id FROM unnest(%(values)s::text[], %(orders)s::bigint[]) AS wanted (value, order_id)
ON CONFLICT ON CONSTRAINT claims_pkey DO UPDATE SET claimed_at = now() WHERE claims.order_id = excluded.order_id
RETURNING value;

-- name: codes_used which of these codes other orders of the organizer have
SELECT code FROM orders
WHERE organizer_id = %(organizer_id)s AND code = ANY (%(codes)s::text[]) AND NOT id = ANY (%(ids)s::bigint[]);

-- name: leased numbers of orders that some process has been given and no order has so far
SELECT number FROM unnest(%(numbers)s::bigint[]) AS wanted (number), order_ids
WHERE order_ids.is_called AND number < order_ids.last_value + 1000
  AND NOT EXISTS (SELECT FROM orders WHERE orders.id = number);

-- name: documents of orders
SELECT doc FROM orders WHERE id = ANY (%(ids)s::bigint[]);

-- name: versions of orders
SELECT id, version FROM orders WHERE id = ANY (%(ids)s::bigint[]);
