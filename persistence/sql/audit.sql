-- name: events every event, in pages
SELECT id, organizer_id, slug FROM events WHERE id > %(after)s ORDER BY id LIMIT 100;

-- name: voucher_limits how often each voucher of an event may be used
SELECT id, (body ->> 'max_usages')::bigint AS max_usages FROM vouchers WHERE event_id = %(event_id)s;

-- name: order_count all orders
SELECT count(*) AS orders FROM orders;

-- name: versions of orders
SELECT id, version, doc FROM orders WHERE id = ANY(%(ids)s);

-- name: torn orders whose columns or rows do not say what their document says
SELECT orders.code, orders.id
FROM orders CROSS JOIN LATERAL (SELECT orders.doc::jsonb AS doc OFFSET 0) AS parsed
LEFT JOIN (
    SELECT order_id, count(*) AS count, min(ordered_at) AS first, max(ordered_at) AS last FROM positions GROUP BY order_id
) AS its ON its.order_id = orders.id
WHERE orders.status <> parsed.doc ->> 'status'
   OR orders.version <> (parsed.doc ->> 'version')::bigint
   OR orders.total <> (parsed.doc ->> 'total')::numeric
   -- lists of positions by the status of their orders rely on it
   OR its.first <> orders.datetime OR its.last <> orders.datetime
   OR coalesce(jsonb_array_length(parsed.doc -> 'positions'), 0) <> coalesce(its.count, 0)
ORDER BY orders.id
LIMIT 100;

-- name: wrong_totals orders whose total is not the sum of their live positions and fees
SELECT orders.code, orders.total, expected
FROM orders
LEFT JOIN (SELECT order_id, sum(price) AS price FROM positions WHERE NOT canceled GROUP BY order_id) AS live
       ON live.order_id = orders.id
LEFT JOIN (SELECT order_id, sum(value) AS value FROM fees WHERE NOT canceled GROUP BY order_id) AS extra
       ON extra.order_id = orders.id
CROSS JOIN LATERAL (SELECT coalesce(live.price, 0) + coalesce(extra.value, 0) AS expected) AS sums
WHERE orders.total <> expected
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

-- name: not_refunded payments that were confirmed and then refunded, by refunds that do not make up all of them
SELECT orders.code, payments.local_id, payments.amount, given.back
FROM payments
JOIN orders ON orders.id = payments.order_id
CROSS JOIN LATERAL (
    -- also those canceled since: a payment stays refunded then
    SELECT coalesce(sum(amount), 0) AS back FROM refunds
    WHERE refunds.order_id = payments.order_id AND refunds.payment = payments.local_id AND refunds.state <> 'external'
) AS given
WHERE payments.state = 'refunded' AND given.back < payments.amount
  -- a client may add a payment that it calls refunded; such a one was not paid here
  AND EXISTS (
    SELECT FROM json_array_elements(orders.doc::json -> 'payments') AS payment
    WHERE (payment ->> 'local_id')::integer = payments.local_id
      AND (payment ->> 'payment_date')::timestamptz >= (payment ->> 'created')::timestamptz
  )
ORDER BY orders.id
LIMIT 100;

-- name: invoice_gaps series of invoices that lack a number; one that another series has used is none
SELECT invoice_series.prefix, invoice_series.last, count(invoices.id) AS issued
FROM invoice_series
LEFT JOIN invoices ON invoices.organizer_id = invoice_series.organizer_id AND invoices.series = invoice_series.prefix
-- orders in test mode take theirs along
WHERE strpos(invoice_series.prefix, 'TEST-') = 0
GROUP BY invoice_series.organizer_id, invoice_series.prefix, invoice_series.last
HAVING count(invoices.id) <> invoice_series.last AND count(invoices.id) + (
    SELECT count(*) FROM invoices AS others
    CROSS JOIN LATERAL substr(others.number, length(invoice_series.prefix) + 1) AS rest
    WHERE others.organizer_id = invoice_series.organizer_id AND starts_with(others.number, invoice_series.prefix)
      AND others.series <> invoice_series.prefix
      AND CASE WHEN rest ~ '^[0-9]{1,15}$' THEN rest::bigint <= invoice_series.last END
) < invoice_series.last
ORDER BY invoice_series.organizer_id, invoice_series.prefix
LIMIT 100;

-- name: uncanceled invoices that are canceled by nothing, or by something that does not take back all of them
SELECT invoices.number, sums.billed, sums.taken_back
FROM invoices
LEFT JOIN invoices AS cancellations
       ON cancellations.organizer_id = invoices.organizer_id AND cancellations.refers = invoices.number
CROSS JOIN LATERAL (
    SELECT (SELECT coalesce(sum((line ->> 'gross_value')::numeric), 0)
            FROM jsonb_array_elements(invoices.body -> 'lines') AS line) AS billed,
           (SELECT sum((line ->> 'gross_value')::numeric)
            FROM jsonb_array_elements(cancellations.body -> 'lines') AS line) AS taken_back
) AS sums
WHERE NOT invoices.is_cancellation
  AND (invoices.canceled <> (cancellations.id IS NOT NULL) OR sums.billed + sums.taken_back <> 0)
ORDER BY invoices.id
LIMIT 100;
