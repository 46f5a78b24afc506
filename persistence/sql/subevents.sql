-- name: add a date of an event series
INSERT INTO subevents (event_id, body) VALUES (%(event_id)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM subevents WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM subevents WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE subevents SET body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM subevents WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM subevents WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: sold whether a position, canceled or not, was ever for a date
SELECT EXISTS (SELECT FROM positions WHERE event_id = %(event_id)s AND subevent = %(id)s) AS sold;

-- name: clear_quotas removes the quotas of a date
DELETE FROM quotas WHERE event_id = %(event_id)s AND subevent_id = %(id)s;

-- name: placed the events of some dates
SELECT s.id, s.event_id FROM subevents s JOIN events e ON e.id = s.event_id
WHERE e.organizer_id = %(organizer_id)s AND s.id = ANY (%(ids)s::bigint[]);
