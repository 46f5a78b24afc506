-- name: add a quota; a client's word on `closed` carries the event's new version
INSERT INTO quotas (event_id, name, size, items, variations, subevent_id, close_when_sold_out, closed, closed_version,
                    release_after_exit, extra)
SELECT id, %(name)s, %(size)s, %(items)s, %(variations)s, %(subevent)s, %(close_when_sold_out)s, %(closed)s, version,
       %(release_after_exit)s, %(extra)s
FROM events WHERE id = %(event_id)s
RETURNING id;

-- name: one of an event
SELECT id, name, size, items, variations, subevent_id AS subevent, close_when_sold_out, closed, release_after_exit,
       extra
FROM quotas WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content, but for `closed`
UPDATE quotas SET name = %(name)s, size = %(size)s, items = %(items)s, variations = %(variations)s,
                  subevent_id = %(subevent)s, close_when_sold_out = %(close_when_sold_out)s,
                  release_after_exit = %(release_after_exit)s, extra = %(extra)s
WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: set_closed a client's word on `closed`, which carries the event's new version
UPDATE quotas SET closed = %(closed)s, closed_version = (SELECT version FROM events WHERE id = %(event_id)s)
WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM quotas WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM quotas WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);
