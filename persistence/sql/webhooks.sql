-- name: add a webhook
INSERT INTO webhooks (organizer_id, enabled, target_url, all_events, limit_events, action_types, comment)
VALUES (%(organizer_id)s, %(enabled)s, %(target_url)s, %(all_events)s, %(limit_events)s, %(action_types)s, %(comment)s)
RETURNING id;

-- name: all of an organizer
SELECT id, enabled, target_url, all_events, limit_events, action_types, comment FROM webhooks
WHERE organizer_id = %(organizer_id)s ORDER BY id;

-- name: one of an organizer, locked until the transaction ends
SELECT id, enabled, target_url, all_events, limit_events, action_types, comment FROM webhooks
WHERE organizer_id = %(organizer_id)s AND id = %(id)s
FOR NO KEY UPDATE;

-- name: replace its content
UPDATE webhooks SET enabled = %(enabled)s, target_url = %(target_url)s, all_events = %(all_events)s,
                    limit_events = %(limit_events)s, action_types = %(action_types)s, comment = %(comment)s
WHERE id = %(id)s;

-- name: disable it; no row if it is already
UPDATE webhooks SET enabled = false WHERE id = %(id)s AND enabled RETURNING id;

-- name: silence forget what a webhook was still to be told
WITH forgotten AS (
    DELETE FROM notifications WHERE webhook_id = %(id)s AND dead_at IS NULL
)
DELETE FROM webhook_queues WHERE webhook_id = %(id)s;

-- name: hurry what has failed, because the webhook is another now
UPDATE webhook_queues SET due_at = now(), tries = 0 WHERE webhook_id = %(id)s AND tries > 0;

-- name: lock_telling until the transaction ends, unless somebody else has: notifications of an order stay in order
SELECT pg_try_advisory_xact_lock(hashtext('holdfast webhooks')) AS got;

-- name: changes of orders that have not been told, oldest first
SELECT order_changes.id, order_id, order_changes.organizer_id, split, versions::text AS versions,
       organizers.slug AS organizer, events.slug AS event
FROM order_changes
JOIN events ON events.id = order_changes.event_id
JOIN organizers ON organizers.id = order_changes.organizer_id
ORDER BY order_changes.id LIMIT %(most)s;

-- name: told changes need not be told again
DELETE FROM order_changes WHERE id = ANY (%(ids)s);

-- name: hold webhooks of some organizers as they are until the transaction ends
SELECT id FROM webhooks WHERE organizer_id = ANY (%(organizer_ids)s) AND enabled ORDER BY id FOR SHARE;

-- name: tell everybody who wants to know of some actions
WITH told AS MATERIALIZED (
    SELECT nextval('notification_ids') AS notification_id, action.*
    FROM (
        SELECT * FROM jsonb_to_recordset(%(actions)s::jsonb)
            AS given (place integer, organizer_id bigint, order_id bigint, event text, type text, body text)
        ORDER BY place
    ) AS action
), wanted AS MATERIALIZED (
    SELECT webhooks.id AS webhook_id, told.*
    FROM told JOIN webhooks ON webhooks.organizer_id = told.organizer_id
    WHERE webhooks.enabled AND told.type = ANY (webhooks.action_types)
      AND (webhooks.all_events OR told.event = ANY (webhooks.limit_events))
), queued AS (
    INSERT INTO webhook_queues (webhook_id, order_id)
    SELECT DISTINCT webhook_id, order_id FROM wanted ORDER BY webhook_id, order_id
    -- locked, so that it is not taken away as empty at the same time
    ON CONFLICT ON CONSTRAINT webhook_queues_pkey DO UPDATE SET due_at = webhook_queues.due_at
)
INSERT INTO notifications (notification_id, webhook_id, order_id, body)
SELECT notification_id, webhook_id, order_id, body::json FROM wanted ORDER BY notification_id, webhook_id;

-- name: claim queues that are due, some of each webhook, with the first notification of each; they come again in a minute
WITH open AS MATERIALIZED (
    SELECT id FROM webhooks
    WHERE enabled AND id <> ALL (%(busy)s::bigint[])
      AND EXISTS (SELECT FROM webhook_queues WHERE webhook_id = webhooks.id AND due_at <= now())
    -- each has its turn
    ORDER BY random()
), due AS (
    SELECT queue.webhook_id, queue.order_id
    FROM open CROSS JOIN LATERAL (
        SELECT webhook_id, order_id FROM webhook_queues
        WHERE webhook_id = open.id AND due_at <= now()
        ORDER BY due_at LIMIT %(each)s
        FOR UPDATE SKIP LOCKED
    ) AS queue
    LIMIT %(most)s
), claimed AS (
    UPDATE webhook_queues SET due_at = now() + interval '1 minute'
    FROM due
    WHERE webhook_queues.webhook_id = due.webhook_id AND webhook_queues.order_id = due.order_id
    RETURNING webhook_queues.webhook_id, webhook_queues.order_id, webhook_queues.due_at
)
SELECT claimed.webhook_id, claimed.order_id, claimed.due_at, webhooks.target_url, first.id, first.notification_id,
       first.body::text AS body, first.late
FROM claimed
JOIN webhooks ON webhooks.id = claimed.webhook_id
LEFT JOIN LATERAL (
    SELECT id, notification_id, body, queued_at < now() - interval '3 days' AS late FROM notifications
    WHERE webhook_id = claimed.webhook_id AND order_id = claimed.order_id AND dead_at IS NULL
    ORDER BY id LIMIT 1
) AS first ON true;

-- name: lock_queue until the transaction ends, if it has not been claimed by somebody else meanwhile
SELECT tries FROM webhook_queues
WHERE webhook_id = %(webhook_id)s AND order_id = %(order_id)s AND due_at = %(due_at)s
FOR UPDATE;

-- name: delivered a notification
DELETE FROM notifications WHERE id = %(id)s;

-- name: go_on with the next notification of a queue
UPDATE webhook_queues SET due_at = now(), tries = CASE WHEN %(delivered)s THEN 0 ELSE tries END
WHERE webhook_id = %(webhook_id)s AND order_id = %(order_id)s;

-- name: close a queue in which nothing waits
DELETE FROM webhook_queues
WHERE webhook_id = %(webhook_id)s AND order_id = %(order_id)s
  AND NOT EXISTS (SELECT FROM notifications
                  WHERE webhook_id = %(webhook_id)s AND order_id = %(order_id)s AND dead_at IS NULL);

-- name: put_off a queue: ten seconds, twenty, forty and so on
UPDATE webhook_queues
SET tries = tries + 1, due_at = now() + least(interval '10 seconds' * 2 ^ least(tries, 20), interval '6 hours')
WHERE webhook_id = %(webhook_id)s AND order_id = %(order_id)s;

-- name: failed to deliver a notification, and why; `dead` if nobody shall try again
UPDATE notifications SET error = %(error)s, dead_at = CASE WHEN %(dead)s THEN now() END WHERE id = %(id)s;

-- name: dead notifications, latest first
SELECT notifications.id, notifications.dead_at, notifications.webhook_id, webhooks.enabled, webhooks.target_url,
       notifications.body ->> 'organizer' AS organizer, notifications.body ->> 'event' AS event,
       notifications.body ->> 'code' AS code, notifications.body ->> 'action' AS action, notifications.error
FROM notifications JOIN webhooks ON webhooks.id = notifications.webhook_id
WHERE notifications.dead_at IS NOT NULL
ORDER BY notifications.dead_at DESC, notifications.id DESC LIMIT %(most)s;

-- name: revive dead notifications, all or some, of webhooks that are enabled; they are tried for three days more
WITH revived AS (
    UPDATE notifications SET dead_at = NULL, queued_at = now()
    FROM webhooks
    WHERE webhooks.id = notifications.webhook_id AND webhooks.enabled AND notifications.dead_at IS NOT NULL
      AND (%(ids)s::bigint[] IS NULL OR notifications.id = ANY (%(ids)s::bigint[]))
    RETURNING notifications.webhook_id, notifications.order_id
), queued AS (
    INSERT INTO webhook_queues (webhook_id, order_id)
    SELECT DISTINCT webhook_id, order_id FROM revived ORDER BY webhook_id, order_id
    ON CONFLICT ON CONSTRAINT webhook_queues_pkey DO UPDATE SET due_at = webhook_queues.due_at
)
SELECT count(*) AS revived FROM revived;
