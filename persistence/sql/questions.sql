-- name: add a question
INSERT INTO questions (event_id, identifier, body) VALUES (%(event_id)s, %(identifier)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM questions WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM questions WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE questions SET body = %(body)s, identifier = %(identifier)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM questions WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM questions WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: taken whether another question of the event has an identifier
SELECT EXISTS (
    SELECT FROM questions WHERE event_id = %(event_id)s AND identifier = %(identifier)s AND id <> %(id)s
) AS taken;
