-- name: file of an order or a position, if it shows what is wanted
SELECT file FROM ticket_files
WHERE order_id = %(order_id)s AND position_id = %(position_id)s AND made = %(wanted)s;

-- name: ask for a file, unless it is being made already; one that was given up is tried again. Tells in how many seconds
-- to look for it
INSERT INTO ticket_files (order_id, position_id, wanted, version, expires_at)
VALUES (%(order_id)s, %(position_id)s, %(wanted)s, %(version)s, now() + %(kept)s::interval)
ON CONFLICT ON CONSTRAINT ticket_files_pkey DO UPDATE
SET wanted = excluded.wanted,
    version = excluded.version,
    expires_at = excluded.expires_at,
    due_at = CASE WHEN ticket_files.wanted = excluded.wanted AND ticket_files.due_at < 'infinity'
        THEN ticket_files.due_at ELSE now() END,
    tries = CASE WHEN ticket_files.wanted = excluded.wanted AND ticket_files.due_at < 'infinity'
        THEN ticket_files.tries ELSE 0 END,
    error = CASE WHEN ticket_files.wanted = excluded.wanted AND ticket_files.due_at < 'infinity'
        THEN ticket_files.error END
RETURNING CASE WHEN error IS NULL THEN 1 ELSE ceil(greatest(1, extract(epoch FROM due_at - now()))) END::integer AS wait_s;

-- name: claim the file that has waited longest, with its order; nobody else takes it for a while
WITH due AS (
    SELECT ticket_files.order_id, ticket_files.position_id FROM ticket_files
    JOIN orders ON orders.id = ticket_files.order_id
    WHERE ticket_files.made IS DISTINCT FROM ticket_files.wanted AND ticket_files.due_at <= now()
        AND orders.version >= ticket_files.version
    ORDER BY ticket_files.due_at LIMIT 1
    FOR UPDATE OF ticket_files SKIP LOCKED
)
UPDATE ticket_files
-- one minute, two, four and so on; longer for many tickets
SET tries = ticket_files.tries + 1,
    due_at = now() + (interval '1 minute' + interval '0.5 seconds' * coalesce(json_array_length(orders.doc::json -> 'positions'), 0))
        * 2 ^ least(ticket_files.tries, 10)
FROM due
JOIN orders ON orders.id = due.order_id
JOIN events ON events.id = orders.event_id
JOIN organizers ON organizers.id = orders.organizer_id
WHERE ticket_files.order_id = due.order_id AND ticket_files.position_id = due.position_id
RETURNING ticket_files.position_id, ticket_files.wanted, ticket_files.tries, orders.doc, events.slug AS event,
          organizers.name AS organizer;

-- name: shown by one event: its texts and moments, and those of items, variations and dates
SELECT e.body,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(i.id, i.body -> 'name')), '[]')
     FROM items i WHERE i.event_id = e.id AND i.id = ANY (%(items)s)) AS items,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(v.id, v.body -> 'value')), '[]')
     FROM variations v WHERE v.event_id = e.id AND v.id = ANY (%(variations)s)) AS variations,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(s.id, s.body)), '[]')
     FROM subevents s WHERE s.event_id = e.id AND s.id = ANY (%(subevents)s)) AS subevents
FROM events e WHERE e.id = %(event_id)s;

-- name: store a file that has been made. Where it shows something newer than was wanted, whoever asks will say so
UPDATE ticket_files
SET made = %(made)s, file = %(file)s, error = NULL, tries = 0, expires_at = now() + %(kept)s::interval,
    due_at = CASE WHEN wanted = %(wanted)s THEN 'infinity' ELSE due_at END
WHERE order_id = %(order_id)s AND position_id = %(position_id)s;

-- name: failed has not been made, and why; the next try stands already unless this was the last one
UPDATE ticket_files SET error = %(error)s, due_at = CASE WHEN %(last)s THEN 'infinity' ELSE due_at END
WHERE order_id = %(order_id)s AND position_id = %(position_id)s AND wanted = %(wanted)s;

-- name: remove what has been kept long enough
DELETE FROM ticket_files
WHERE (order_id, position_id) IN (
    SELECT order_id, position_id FROM ticket_files WHERE expires_at < now() LIMIT %(most)s
);
