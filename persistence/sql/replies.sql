-- name: keep replies of requests with an idempotency key, in the transaction that writes what they did
INSERT INTO replies (name, request, reply)
SELECT DISTINCT ON (name) name, request, reply
FROM unnest(%(names)s::text[], %(requests)s::text[], %(replies)s::bytea[]) WITH ORDINALITY
     AS kept (name, request, reply, place)
ORDER BY name, place DESC
ON CONFLICT ON CONSTRAINT replies_pkey DO UPDATE
SET request = excluded.request, reply = excluded.reply, kept_at = now();

-- name: find the reply to a request that may come again
SELECT request, reply FROM replies WHERE name = %(name)s AND kept_at > now() - interval '24 hours';

-- name: forget replies that have been kept long enough
DELETE FROM replies
WHERE name IN (SELECT name FROM replies WHERE kept_at < now() - interval '24 hours' LIMIT 5000);
