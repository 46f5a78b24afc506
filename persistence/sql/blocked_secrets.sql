-- name: page of an event's secrets that are or were blocked, newest change first; with the count of all
WITH matching AS NOT MATERIALIZED (
    SELECT id, secret, blocked, updated FROM blocked_secrets
    WHERE event_id = %(event_id)s
      AND (%(updated_since)s::timestamptz IS NULL OR stored_at >= %(updated_since)s)
      AND (%(blocked)s::boolean IS NULL OR blocked = %(blocked)s)
), page AS (
    SELECT * FROM matching ORDER BY updated DESC, id DESC LIMIT %(size)s OFFSET %(offset)s
)
SELECT total.count, page.*
FROM (SELECT count(*) AS count FROM matching) AS total LEFT JOIN page ON true
ORDER BY page.updated DESC, page.id DESC;
