-- name: changed seats of an event that were made or changed after a version, each with how many the event has and the version of all; one row without a seat if there is none
SELECT e.seats_version, (SELECT count(*) FROM seats WHERE event_id = %(event_id)s) AS seats,
       s.id, s.guid, s.name, s.zone_name, s.row_name, s.row_label, s.seat_number, s.seat_label,
       coalesce(s.subevent_id, 0) AS subevent, s.product, s.blocked, s.version, coalesce(v.id, 0) AS voucher, v.till
FROM events e
LEFT JOIN seats s ON s.event_id = e.id AND s.version > %(after)s
LEFT JOIN LATERAL (
    SELECT vouchers.id, vouchers.body ->> 'valid_until' AS till FROM vouchers
    WHERE vouchers.event_id = s.event_id AND vouchers.body ->> 'seat' = s.guid
      AND coalesce((vouchers.body ->> 'subevent')::bigint, 0) = coalesce(s.subevent_id, 0)
    ORDER BY vouchers.id LIMIT 1
) AS v ON true
WHERE e.id = %(event_id)s;

-- name: put seats of an event or a date: new ones, and what has changed about those it has
INSERT INTO seats (event_id, subevent_id, guid, name, zone_name, row_name, row_label, seat_number, seat_label, rank,
                   product, version)
SELECT %(event_id)s, %(subevent_id)s, s.guid, s.name, s.zone_name, s.row_name, s.row_label, s.seat_number,
       s.seat_label, s.rank, s.product, e.version
FROM jsonb_to_recordset(%(seats)s::jsonb) AS s (guid text, name text, zone_name text, row_name text, row_label text,
                                                seat_number text, seat_label text, rank bigint, product bigint)
JOIN events e ON e.id = %(event_id)s
ON CONFLICT (event_id, coalesce(subevent_id, 0), guid) DO UPDATE
SET name = excluded.name, zone_name = excluded.zone_name, row_name = excluded.row_name,
    row_label = excluded.row_label, seat_number = excluded.seat_number, seat_label = excluded.seat_label,
    rank = excluded.rank, product = excluded.product, version = excluded.version
WHERE (seats.name, seats.zone_name, seats.row_name, seats.row_label, seats.seat_number, seats.seat_label, seats.rank,
       seats.product)
   IS DISTINCT FROM (excluded.name, excluded.zone_name, excluded.row_name, excluded.row_label, excluded.seat_number,
                     excluded.seat_label, excluded.rank, excluded.product);

-- name: absent the seats that an event or a date has and a new plan has not
SELECT guid, name, EXISTS (
    SELECT FROM vouchers WHERE vouchers.event_id = seats.event_id AND vouchers.body ->> 'seat' = seats.guid
      AND coalesce((vouchers.body ->> 'subevent')::bigint, 0) = coalesce(seats.subevent_id, 0)
) AS reserved
FROM seats
WHERE event_id = %(event_id)s AND subevent_id IS NOT DISTINCT FROM %(subevent_id)s::bigint
  AND NOT guid = ANY (%(guids)s)
ORDER BY rank, id;

-- name: remove seats of an event or a date
DELETE FROM seats
WHERE event_id = %(event_id)s AND subevent_id IS NOT DISTINCT FROM %(subevent_id)s::bigint AND guid = ANY (%(guids)s);

-- name: block or unblock one
UPDATE seats SET blocked = %(blocked)s, version = e.version
FROM events e WHERE e.id = seats.event_id AND seats.event_id = %(event_id)s AND seats.id = %(id)s
RETURNING seats.id;

-- name: mark seats as changed, since their vouchers have
UPDATE seats SET version = e.version
FROM events e WHERE e.id = seats.event_id AND seats.event_id = %(event_id)s AND seats.guid = ANY (%(guids)s);

-- name: touch notes that the seats of an event have changed with its version
UPDATE events SET seats_version = version WHERE id = %(event_id)s;

-- name: count seats of a list
SELECT count(*) AS seats FROM seats
WHERE event_id = %(event_id)s AND subevent_id IS NOT DISTINCT FROM %(subevent_id)s::bigint
  AND (%(zone_name)s::text IS NULL OR zone_name = %(zone_name)s)
  AND (%(row_name)s::text IS NULL OR row_name = %(row_name)s)
  AND (%(row_label)s::text IS NULL OR row_label = %(row_label)s)
  AND (%(seat_number)s::text IS NULL OR seat_number = %(seat_number)s)
  AND (%(seat_label)s::text IS NULL OR seat_label = %(seat_label)s)
  AND (%(seat_guid)s::text IS NULL OR guid = %(seat_guid)s)
  AND (%(blocked)s::boolean IS NULL OR blocked = %(blocked)s);

-- name: page of a list
SELECT id, subevent_id, zone_name, row_name, row_label, seat_number, seat_label, guid, product, blocked FROM seats
WHERE event_id = %(event_id)s AND subevent_id IS NOT DISTINCT FROM %(subevent_id)s::bigint
  AND (%(zone_name)s::text IS NULL OR zone_name = %(zone_name)s)
  AND (%(row_name)s::text IS NULL OR row_name = %(row_name)s)
  AND (%(row_label)s::text IS NULL OR row_label = %(row_label)s)
  AND (%(seat_number)s::text IS NULL OR seat_number = %(seat_number)s)
  AND (%(seat_label)s::text IS NULL OR seat_label = %(seat_label)s)
  AND (%(seat_guid)s::text IS NULL OR guid = %(seat_guid)s)
  AND (%(blocked)s::boolean IS NULL OR blocked = %(blocked)s)
ORDER BY rank, id LIMIT %(size)s OFFSET %(offset)s;

-- name: one of an event or a date
SELECT id, subevent_id, zone_name, row_name, row_label, seat_number, seat_label, guid, product, blocked FROM seats
WHERE event_id = %(event_id)s AND subevent_id IS NOT DISTINCT FROM %(subevent_id)s::bigint AND id = %(id)s;

-- name: sold which order has each seat of an event that is sold
SELECT coalesce(positions.subevent, 0) AS subevent, positions.seat_guid AS guid, orders.id AS order_id
FROM positions JOIN orders ON orders.id = positions.order_id
WHERE positions.event_id = %(event_id)s AND orders.status IN ('n', 'p') AND NOT positions.canceled
  AND positions.seat_guid IS NOT NULL;

-- name: positions that have seats of these orders
SELECT id, order_id, coalesce(subevent, 0) AS subevent, seat_guid AS guid FROM positions
WHERE id = ANY (ARRAY(SELECT id FROM ids_of_positions WHERE order_id = ANY (%(order_ids)s))) AND seat_guid IS NOT NULL AND NOT canceled;
