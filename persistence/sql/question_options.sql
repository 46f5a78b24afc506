-- name: add one choice of a question
INSERT INTO question_options (event_id, question_id, identifier, body)
VALUES (%(event_id)s, %(parent_id)s, %(identifier)s, %(body)s) RETURNING id;

-- name: all of a question, or of all questions of an event
SELECT id, question_id AS parent_id, body FROM question_options
WHERE event_id = %(event_id)s AND (%(parent_id)s::bigint IS NULL OR question_id = %(parent_id)s)
ORDER BY question_id, id;

-- name: one of a question
SELECT id, question_id AS parent_id, body FROM question_options
WHERE event_id = %(event_id)s AND question_id = %(parent_id)s AND id = %(id)s;

-- name: replace its content
UPDATE question_options SET body = %(body)s, identifier = %(identifier)s
WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM question_options WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: taken whether another option of the question has an identifier
SELECT EXISTS (
    SELECT FROM question_options
    WHERE question_id = %(parent_id)s AND identifier = %(identifier)s AND id <> %(id)s
) AS taken;
