-- name: next the event after the one compared last, in the order of ids
SELECT events.id, events.organizer_id, events.slug
FROM events, reconciliation
WHERE events.id > reconciliation.event_id
ORDER BY events.id
LIMIT 1;

-- name: passed an event has been compared, or could not be
UPDATE reconciliation
SET event_id = %(event_id)s, compared = compared + %(compared)s, passed_over = passed_over + %(passed_over)s;

-- name: round_ended all events have had their turn
UPDATE reconciliation SET event_id = 0, rounds = rounds + 1, round_ended = now();

-- name: forget what an event's last comparison found
DELETE FROM differences WHERE event_id = %(event_id)s;

-- name: note a difference
INSERT INTO differences (event_id, rule, place, expected, found, cause)
VALUES (%(event_id)s, %(rule)s, %(place)s, %(expected)s, %(found)s, %(cause)s);

-- name: progress how far it has come, and how many differences there are by rule
SELECT reconciliation.compared,
       (SELECT coalesce(json_object_agg(rule, differing), '{}')
        FROM (SELECT rule, count(*) AS differing FROM differences GROUP BY rule) AS by_rule) AS differences
FROM reconciliation;

-- name: parked entries of a shard
SELECT count(*) AS parked FROM parked_entries WHERE shard = %(shard)s;
