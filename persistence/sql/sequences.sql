-- name: order_ids a block of order ids
SELECT nextval('order_ids') AS first;

-- name: position_ids a block of position ids
SELECT nextval('position_ids') AS first;

-- name: fee_ids a block of fee ids
SELECT nextval('fee_ids') AS first;

-- name: checkin_ids a block of check-in ids
SELECT nextval('checkin_ids') AS first;

-- name: hold_ids a block of hold ids
SELECT nextval('hold_ids') AS first;

-- name: order_ids_leased is this order id in a block that has been handed out?
SELECT is_called AND %(number)s < last_value + 1000 AS leased FROM order_ids;

-- name: code_key the installation's key for order codes
SELECT code_key FROM installation;

-- name: reserved order ids of a block whose codes clients have claimed
SELECT number FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS number
JOIN claims ON scope = 'order_id' AND owner_id = 0 AND value = number::text;

-- name: skip a hundred blocks of each, which somebody may have been given before Postgres lost its last moments
SELECT setval('order_ids', nextval('order_ids') + 100 * 1000), setval('position_ids', nextval('position_ids') + 100 * 1000),
       setval('fee_ids', nextval('fee_ids') + 100 * 1000), setval('checkin_ids', nextval('checkin_ids') + 100 * 1000),
       setval('hold_ids', nextval('hold_ids') + 100 * 10000);
