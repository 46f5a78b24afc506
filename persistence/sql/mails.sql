-- name: claim mails that are due, longest due first, each with its order; nobody else takes them for a while
WITH due AS (
    SELECT order_id, version, kind FROM mails
    WHERE sent_at IS NULL AND due_at <= now()
    ORDER BY due_at LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
)
UPDATE mails
-- one minute, two, four and so on
SET tries = mails.tries + 1, due_at = now() + least(interval '1 minute' * 2 ^ mails.tries, interval '6 hours')
FROM due
JOIN orders ON orders.id = due.order_id
JOIN events ON events.id = orders.event_id
JOIN organizers ON organizers.id = orders.organizer_id
WHERE mails.order_id = due.order_id AND mails.version = due.version AND mails.kind = due.kind
RETURNING mails.version, mails.kind, mails.comment, mails.queued_at, mails.tries, orders.doc,
          events.slug AS event, events.body -> 'name' AS event_name, organizers.name AS organizer;

-- name: sent has gone out
UPDATE mails SET sent_at = now(), error = NULL
WHERE order_id = %(order_id)s AND version = %(version)s AND kind = %(kind)s AND queued_at = %(queued_at)s;

-- name: failed has not gone out, and why; the next try stands already unless this was the last one
UPDATE mails SET error = %(error)s, due_at = CASE WHEN %(last)s THEN 'infinity' ELSE due_at END
WHERE order_id = %(order_id)s AND version = %(version)s AND kind = %(kind)s AND queued_at = %(queued_at)s;

-- name: ask for a mail about an order as it is now, again if it has been sent; no row if there is no such order
INSERT INTO mails (order_id, version, kind, comment)
SELECT orders.id, orders.version, %(kind)s, '' FROM orders WHERE orders.id = %(order_id)s
ON CONFLICT ON CONSTRAINT mails_pkey DO UPDATE
SET queued_at = now(), due_at = now(), tries = 0, sent_at = NULL, error = NULL
RETURNING order_id;

-- name: dead mails that nobody tries to send any more, latest first
SELECT mails.queued_at, organizers.slug AS organizer, events.slug AS event, orders.code, mails.kind,
       orders.doc::json ->> 'email' AS email, mails.error
FROM mails
JOIN orders ON orders.id = mails.order_id
JOIN events ON events.id = orders.event_id
JOIN organizers ON organizers.id = orders.organizer_id
WHERE mails.sent_at IS NULL AND mails.due_at = 'infinity'
ORDER BY mails.queued_at DESC LIMIT %(most)s;

-- name: revive dead mails, all or those of some orders
UPDATE mails SET due_at = now(), tries = 0
FROM orders
WHERE orders.id = mails.order_id AND mails.sent_at IS NULL AND mails.due_at = 'infinity'
  AND (%(codes)s::text[] IS NULL OR orders.code = ANY (%(codes)s::text[]));
