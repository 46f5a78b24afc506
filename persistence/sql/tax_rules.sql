-- name: add a tax rule
INSERT INTO tax_rules (event_id, body) VALUES (%(event_id)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM tax_rules WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM tax_rules WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE tax_rules SET body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM tax_rules WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM tax_rules WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: used whether an item is taxed by the rule
SELECT EXISTS (
    SELECT FROM items WHERE event_id = %(event_id)s AND body -> 'tax_rule' = to_jsonb(%(id)s::bigint)
) AS used;
