-- name: add a category
INSERT INTO categories (event_id, body) VALUES (%(event_id)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM categories WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM categories WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE categories SET body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM categories WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM categories WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: clear_items takes the category away from its items
UPDATE items SET body = body || '{"category": null}'
WHERE event_id = %(event_id)s AND body -> 'category' = to_jsonb(%(id)s::bigint);

-- name: clear_addons removes the add-on offers that draw on the category
DELETE FROM item_links
WHERE event_id = %(event_id)s AND kind = 'addon' AND body -> 'addon_category' = to_jsonb(%(id)s::bigint);
