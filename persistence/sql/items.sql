-- name: add an item
INSERT INTO items (event_id, body) VALUES (%(event_id)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM items WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM items WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE items SET body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM items WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM items WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: sold whether a position, canceled or not, was ever an item
SELECT EXISTS (SELECT FROM positions WHERE event_id = %(event_id)s AND item = %(id)s) AS sold;

-- name: clear_quotas takes an item and its variations out of all quotas
UPDATE quotas SET items = array_remove(items, %(id)s::bigint),
                  variations = ARRAY(
                      SELECT listed FROM unnest(variations) WITH ORDINALITY AS v (listed, place)
                      WHERE NOT EXISTS (SELECT FROM variations x WHERE x.id = listed AND x.item_id = %(id)s)
                      ORDER BY place)
WHERE event_id = %(event_id)s AND %(id)s = ANY (items);

-- name: clear_questions stops questions from being asked for an item
UPDATE questions SET body = jsonb_set(body, '{items}', (
    SELECT coalesce(jsonb_agg(listed), '[]') FROM jsonb_array_elements(body -> 'items') AS listed
    WHERE listed <> to_jsonb(%(id)s::bigint)))
WHERE event_id = %(event_id)s AND body -> 'items' @> to_jsonb(%(id)s::bigint);

-- name: clear_bundles removes an item from what is bundled with others
DELETE FROM item_links
WHERE event_id = %(event_id)s AND kind = 'bundle' AND body -> 'bundled_item' = to_jsonb(%(id)s::bigint);

-- name: clear_seats leaves no seat to be sold as an item
WITH freed AS (
    UPDATE seats SET product = NULL, version = e.version
    FROM events e WHERE e.id = seats.event_id AND seats.event_id = %(event_id)s AND seats.product = %(id)s
    RETURNING seats.id)
UPDATE events SET seats_version = version WHERE id = %(event_id)s AND EXISTS (SELECT FROM freed);

-- name: clear_event_mapping takes an item out of what the categories of the event's plan are sold as
UPDATE events SET body = jsonb_set(body, '{seat_category_mapping}', (
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(body -> 'seat_category_mapping')
    WHERE value <> to_jsonb(%(id)s::bigint)))
WHERE id = %(event_id)s AND body ->> 'seating_plan' IS NOT NULL;

-- name: clear_date_mappings takes an item out of what the categories of dates' plans are sold as
UPDATE subevents SET body = jsonb_set(body, '{seat_category_mapping}', (
    SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(body -> 'seat_category_mapping')
    WHERE value <> to_jsonb(%(id)s::bigint)))
WHERE event_id = %(event_id)s AND body ->> 'seating_plan' IS NOT NULL;

-- name: placed event and organizer of some items, whatever their event, with how many variations they have
SELECT i.id, i.event_id, (SELECT count(*) FROM variations v WHERE v.item_id = i.id) AS variations
FROM items i JOIN events e ON e.id = i.event_id
WHERE e.organizer_id = %(organizer_id)s AND i.id = ANY (%(ids)s::bigint[]);
