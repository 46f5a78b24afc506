-- Lists read a fifth less: of the secrets of its tickets an order repeats the first two signs only, and what begins with
-- more is looked up; the first and the last of its dates are in columns of their own and no words besides
-- (docs/decisions/0004-lists-and-sync.md).

DROP INDEX orders_datetime_idx;

UPDATE orders
SET secrets = CASE WHEN octet_length(shorter.secrets) <= 700 THEN shorter.secrets END,
    words = replace(replace(orders.words, shorter.first, E'\x7f'), shorter.last, E'\x7f'),
    long_words = replace(replace(orders.long_words, shorter.first, E'\x7f'), shorter.last, E'\x7f')
FROM orders AS same,
     LATERAL (
         SELECT coalesce((
                    SELECT string_agg(DISTINCT E'\x7f' || left(secret, 2), '')
                    FROM unnest(CASE WHEN same.secrets IS NOT NULL THEN (string_to_array(same.secrets, E'\x7f'))[2:]
                                     ELSE ARRAY(SELECT lower(positions.secret) FROM positions
                                                WHERE positions.order_id = same.id AND NOT positions.canceled) END) AS secret), ''),
                E'\x7fs' || coalesce(same.subevent_first, 0) || E'\x7f',
                E'\x7fs' || coalesce(same.subevent_last, 0) || E'\x7f'
     ) AS shorter (secrets, first, last)
WHERE same.id = orders.id;

CREATE INDEX orders_datetime_idx ON orders (event_id, datetime, id)
    INCLUDE (last_modified, stored_at, subevent_first, subevent_last, testmode, require_approval, status, code, words, search,
             secrets);
