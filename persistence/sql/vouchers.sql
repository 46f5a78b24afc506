-- name: add a voucher
INSERT INTO vouchers (event_id, code_key, body) VALUES (%(event_id)s, %(code_key)s, %(body)s) RETURNING id;

-- name: all of an event
SELECT id, body FROM vouchers WHERE event_id = %(event_id)s ORDER BY id;

-- name: one of an event
SELECT id, body FROM vouchers WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: replace its content
UPDATE vouchers SET code_key = %(code_key)s, body = %(body)s WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: remove it
DELETE FROM vouchers WHERE event_id = %(event_id)s AND id = %(id)s;

-- name: known those of some ids that the event has
SELECT id FROM vouchers WHERE event_id = %(event_id)s AND id = ANY (%(ids)s::bigint[]);

-- name: taken whether another voucher of the event has a code
SELECT EXISTS (
    SELECT FROM vouchers WHERE event_id = %(event_id)s AND code_key = %(code_key)s AND id <> %(id)s
) AS taken;

-- name: sold whether a position, canceled or not, has ever had a voucher
SELECT EXISTS (SELECT FROM positions WHERE voucher = %(id)s) AS sold;

-- name: coded vouchers of an event by their codes; no row unless the event is at the version given
SELECT vouchers.id, vouchers.body::text AS body
FROM events LEFT JOIN vouchers ON vouchers.event_id = events.id AND vouchers.code_key = ANY (%(code_keys)s::text[])
WHERE events.id = %(event_id)s AND events.version = %(version)s;

-- name: named vouchers of an event by their ids; no row unless the event is at the version given
SELECT vouchers.id, vouchers.body::text AS body
FROM events LEFT JOIN vouchers ON vouchers.event_id = events.id AND vouchers.id = ANY (%(ids)s::bigint[])
WHERE events.id = %(event_id)s AND events.version = %(version)s;

-- name: page vouchers of an event in order of their ids; no row unless the event is at the version given
-- one event, but as a list: were it known to be one, the ids alone would be an order of the primary key too, and Postgres
-- went that way through the vouchers of all events before
SELECT page.id, page.body
FROM events LEFT JOIN LATERAL (
    SELECT id, body::text AS body FROM vouchers
    WHERE event_id = ANY (ARRAY[events.id]) AND id > %(after)s ORDER BY event_id, id LIMIT %(most)s
) AS page ON true
WHERE events.id = %(event_id)s AND events.version = %(version)s;
