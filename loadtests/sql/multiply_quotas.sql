-- Makes more quotas like one that is there, each over an item of its own like the one of that quota. They are live with
-- the next change of the event's catalogue.
WITH fresh AS (
    INSERT INTO items (event_id, body)
    SELECT items.event_id, items.body FROM items, generate_series(1, :count) WHERE items.id = :item
    RETURNING id
)
INSERT INTO quotas (event_id, name, size, items, variations, subevent_id, close_when_sold_out, closed, closed_version,
                    release_after_exit, extra)
SELECT event_id, name || ' ' || fresh.id, size, ARRAY[fresh.id], variations, subevent_id, close_when_sold_out, closed,
       closed_version, release_after_exit, extra
FROM quotas, fresh WHERE quotas.id = :quota;
