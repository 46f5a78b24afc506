-- name: events every event, in pages
SELECT id, organizer_id, slug FROM events WHERE id > %(after)s ORDER BY id LIMIT 100;

-- name: voucher_limits how often each voucher of an event may be used
SELECT id, (body ->> 'max_usages')::bigint AS max_usages FROM vouchers WHERE event_id = %(event_id)s;

-- name: order_count all orders
SELECT count(*) AS orders FROM orders;

-- name: versions of orders
SELECT id, version, doc::text AS doc FROM orders WHERE id = ANY(%(ids)s);

-- name: torn orders whose columns or rows do not say what their document says
SELECT orders.code, orders.id
FROM orders
WHERE orders.status <> orders.doc ->> 'status'
   OR orders.version <> (orders.doc ->> 'version')::bigint
   OR orders.total <> (orders.doc ->> 'total')::numeric
   OR coalesce(jsonb_array_length(orders.doc -> 'positions'), 0) <> (SELECT count(*) FROM positions WHERE order_id = orders.id)
   OR coalesce(jsonb_array_length(orders.doc -> 'fees'), 0) <> (SELECT count(*) FROM fees WHERE order_id = orders.id)
   OR coalesce(jsonb_array_length(orders.doc -> 'payments'), 0) <> (SELECT count(*) FROM payments WHERE order_id = orders.id)
   OR coalesce(jsonb_array_length(orders.doc -> 'refunds'), 0) <> (SELECT count(*) FROM refunds WHERE order_id = orders.id)
ORDER BY orders.id
LIMIT 100;

-- name: wrong_totals orders whose total is not the sum of their live positions and fees
SELECT orders.code, orders.total, parts.total AS expected
FROM orders
CROSS JOIN LATERAL (
    SELECT (SELECT coalesce(sum(price), 0) FROM positions WHERE order_id = orders.id AND NOT canceled)
         + (SELECT coalesce(sum(value), 0) FROM fees WHERE order_id = orders.id AND NOT canceled) AS total
) AS parts
WHERE orders.total <> parts.total
ORDER BY orders.id
LIMIT 100;

-- name: unpaid orders that are called paid although nobody has paid their total
SELECT orders.code, orders.total, money.received
FROM orders
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0) AS received FROM payments
    WHERE order_id = orders.id AND state IN ('confirmed', 'refunded')
) AS money
WHERE orders.status = 'p' AND money.received < orders.total
ORDER BY orders.id
LIMIT 100;

-- name: not_refunded payments called refunded that were not given back whole
SELECT orders.code, payments.local_id, payments.amount, given.back
FROM payments
JOIN orders ON orders.id = payments.order_id
CROSS JOIN LATERAL (
    SELECT coalesce(sum(amount), 0) AS back FROM refunds
    WHERE refunds.order_id = payments.order_id AND refunds.payment = payments.local_id AND refunds.state = 'done'
) AS given
WHERE payments.state = 'refunded' AND given.back < payments.amount
ORDER BY orders.id
LIMIT 100;
