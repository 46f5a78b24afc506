-- name: add what may be sold along with an item
INSERT INTO item_links (event_id, item_id, kind, body)
VALUES (%(event_id)s, %(parent_id)s, %(kind)s, %(body)s) RETURNING id;

-- name: all of one kind, of an item or of all items of an event
SELECT id, item_id AS parent_id, body FROM item_links
WHERE event_id = %(event_id)s AND (%(parent_id)s::bigint IS NULL OR item_id = %(parent_id)s) AND kind = %(kind)s
ORDER BY item_id, id;

-- name: one of an item
SELECT id, item_id AS parent_id, body FROM item_links
WHERE event_id = %(event_id)s AND item_id = %(parent_id)s AND kind = %(kind)s AND id = %(id)s;

-- name: replace its content
UPDATE item_links SET body = %(body)s WHERE event_id = %(event_id)s AND kind = %(kind)s AND id = %(id)s;

-- name: remove it
DELETE FROM item_links WHERE event_id = %(event_id)s AND kind = %(kind)s AND id = %(id)s;
