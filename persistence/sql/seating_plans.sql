-- name: add a plan
INSERT INTO seating_plans (organizer_id, body) VALUES (%(organizer_id)s, %(body)s) RETURNING id;

-- name: all of an organizer
SELECT id, body FROM seating_plans WHERE organizer_id = %(organizer_id)s ORDER BY body ->> 'name', id;

-- name: one of an organizer
SELECT id, body FROM seating_plans WHERE organizer_id = %(organizer_id)s AND id = %(id)s;

-- name: replace its content
UPDATE seating_plans SET body = %(body)s WHERE organizer_id = %(organizer_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM seating_plans WHERE organizer_id = %(organizer_id)s AND id = %(id)s;

-- name: used whether an event or a date has its seats from this plan
SELECT EXISTS (
    SELECT FROM events WHERE organizer_id = %(organizer_id)s AND body -> 'seating_plan' = to_jsonb(%(id)s::bigint)
) OR EXISTS (
    SELECT FROM subevents JOIN events ON events.id = subevents.event_id
    WHERE events.organizer_id = %(organizer_id)s AND subevents.body -> 'seating_plan' = to_jsonb(%(id)s::bigint)
) AS used;
