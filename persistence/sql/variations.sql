-- name: add a variation of an item
INSERT INTO variations (event_id, item_id, body) VALUES (%(event_id)s, %(parent_id)s, %(body)s) RETURNING id;

-- name: all of an item, or of all items of an event
SELECT id, item_id AS parent_id, body FROM variations
WHERE event_id = %(event_id)s AND (%(parent_id)s::bigint IS NULL OR item_id = %(parent_id)s)
ORDER BY item_id, id;

-- name: one of an item
SELECT id, item_id AS parent_id, body FROM variations
WHERE event_id = %(event_id)s AND item_id = %(parent_id)s AND id = %(id)s;

-- name: replace its content
UPDATE variations SET body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM variations WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM variations WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: sold whether a position, canceled or not, was ever a variation
SELECT EXISTS (SELECT FROM positions WHERE event_id = %(event_id)s AND variation = %(id)s) AS sold;

-- name: clear_quotas takes a variation out of all quotas
UPDATE quotas SET variations = array_remove(variations, %(id)s::bigint)
WHERE event_id = %(event_id)s AND %(id)s = ANY (variations);

-- name: placed the items of some variations, whatever their event
SELECT v.id, v.item_id FROM variations v JOIN events e ON e.id = v.event_id
WHERE e.organizer_id = %(organizer_id)s AND v.id = ANY (%(ids)s::bigint[]);
