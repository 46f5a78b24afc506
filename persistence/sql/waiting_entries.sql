-- name: add somebody to the waiting list
INSERT INTO waiting_entries (event_id, item, variation, subevent, body)
VALUES (%(event_id)s, %(item)s, %(variation)s, %(subevent)s, %(body)s)
RETURNING id;

-- name: all of an event
SELECT id, body FROM waiting_entries WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM waiting_entries WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE waiting_entries SET item = %(item)s, variation = %(variation)s, subevent = %(subevent)s, body = %(body)s
WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM waiting_entries WHERE event_id = %(event_id)s AND id = %(id)s;
