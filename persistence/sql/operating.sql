-- name: here an answer, so that Postgres is there
SELECT 1 AS here;

-- name: parked how many entries were put aside
SELECT count(*) AS parked FROM parked_entries;

-- name: dead mails and notifications by organizer, of ten thousand of each at most
SELECT 'mail' AS kind, orders.organizer_id, count(*) AS dead
FROM (SELECT order_id FROM mails WHERE sent_at IS NULL AND due_at = 'infinity' LIMIT 10000) AS dead
JOIN orders ON orders.id = dead.order_id
GROUP BY orders.organizer_id
UNION ALL
SELECT 'webhook', webhooks.organizer_id, count(*)
FROM (SELECT webhook_id FROM notifications WHERE dead_at IS NOT NULL LIMIT 10000) AS dead
JOIN webhooks ON webhooks.id = dead.webhook_id
GROUP BY webhooks.organizer_id;
