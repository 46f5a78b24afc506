-- Secrets of tickets are no longer among the words of an order: what is compared whole is found in a shorter text, and only
-- searches for the beginning of a secret look at them (docs/decisions/0004-lists-and-sync.md).

DROP INDEX orders_datetime_idx;
ALTER TABLE orders ADD COLUMN secrets text;

UPDATE orders
SET words = CASE WHEN octet_length(parted.words) <= 700 THEN parted.words END,
    long_words = CASE WHEN octet_length(parted.words) > 700 THEN parted.words END,
    search = CASE WHEN octet_length(parted.search) <= 1100 THEN parted.search END,
    long_search = CASE WHEN octet_length(parted.search) > 1100 THEN parted.search END,
    secrets = CASE WHEN octet_length(parted.secrets) <= 700 THEN parted.secrets END
FROM orders AS same,
     LATERAL (
         SELECT regexp_replace(coalesce(same.words, same.long_words), E'\x7ft[^\x7f]*', '', 'g'),
                coalesce(same.search, same.long_search),
                coalesce((SELECT string_agg(E'\x7f' || substr(word, 2), '')
                          FROM unnest(string_to_array(coalesce(same.words, same.long_words), E'\x7f')) AS word
                          WHERE left(word, 1) = 't'), '')
     ) AS parted (words, search, secrets)
WHERE same.id = orders.id AND coalesce(same.words, same.long_words) IS NOT NULL;

CREATE INDEX orders_datetime_idx ON orders (event_id, datetime, id)
    INCLUDE (last_modified, stored_at, subevent_first, subevent_last, testmode, require_approval, status, code, words, search,
             secrets);
