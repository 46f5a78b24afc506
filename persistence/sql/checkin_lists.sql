-- name: add a check-in list
INSERT INTO checkin_lists (event_id, body) VALUES (%(event_id)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM checkin_lists WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM checkin_lists WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE checkin_lists SET body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM checkin_lists WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: used whether a ticket was ever scanned by a list
SELECT EXISTS (SELECT FROM checkins WHERE list_id = %(id)s) AS used;

-- name: place of a position: the code of its order, by its id or else by its secret
SELECT orders.code, positions.id
FROM positions JOIN orders ON orders.id = positions.order_id
WHERE positions.event_id = %(event_id)s AND (positions.id = %(id)s::bigint OR positions.secret = %(secret)s)
ORDER BY (positions.id = %(id)s::bigint) IS TRUE DESC, positions.id DESC
LIMIT 1;

-- name: counts of lists: tickets that they are for, and tickets that came in by them
SELECT lists.id,
       (SELECT count(*) FROM positions JOIN orders ON orders.id = positions.order_id
        WHERE positions.event_id = %(event_id)s AND NOT positions.canceled
          AND (orders.status = 'p' OR orders.status = 'n' AND (lists.body ->> 'include_pending')::boolean)
          AND ((lists.body ->> 'all_products')::boolean OR lists.body -> 'limit_products' @> to_jsonb(positions.item))
          AND (lists.body ->> 'subevent' IS NULL OR positions.subevent = (lists.body ->> 'subevent')::bigint)
       ) AS position_count,
       (SELECT count(DISTINCT checkins.position_id) FROM checkins JOIN positions ON positions.id = checkins.position_id
        WHERE checkins.list_id = lists.id AND checkins.type = 'entry' AND NOT positions.canceled) AS checkin_count
FROM checkin_lists AS lists
WHERE lists.event_id = %(event_id)s AND lists.id = ANY (%(ids)s::bigint[]);
