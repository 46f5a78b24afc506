-- Lists of orders. Conditions whose parameter is null fall away when the statement is planned; that needs a plan for
-- each call (`plan_each_call`), never a generic one. All that is looked for, counted and sorted is in one index, so
-- every list costs about what reading that index costs; documents are fetched for the rows of the page.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, a bitmap of all may be exact,
-- a list takes one core from a sale at most, and what is not visible to all yet makes reading everything look cheap
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_seqscan', 'off', true),
       set_config('work_mem', '32MB', true), set_config('random_page_cost', '1.1', true);

-- name: events of an organizer, all or those of some slugs
SELECT id FROM events
WHERE organizer_id = %(organizer_id)s AND (%(events)s::text[] IS NULL OR slug = ANY (%(events)s));

-- name: dates of events that end after a moment, and that begin before one, each list sorted
SELECT coalesce(array_agg(id ORDER BY id) FILTER (
           WHERE coalesce(body ->> 'date_to', body ->> 'date_from')::timestamptz > %(after)s), '{}') AS after,
       coalesce(array_agg(id ORDER BY id) FILTER (
           WHERE (body ->> 'date_from')::timestamptz < %(before)s), '{}') AS before
FROM subevents WHERE event_id = ANY (%(event_ids)s);

-- name: page of the orders that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT orders.id, orders.event_id, orders.datetime,
           CASE WHEN %(ordering)s IN ('datetime', '-datetime') THEN orders.datetime
                WHEN %(ordering)s IN ('last_modified', '-last_modified') THEN orders.last_modified END AS moment,
           CASE WHEN %(ordering)s IN ('code', '-code') THEN orders.code
                WHEN %(ordering)s IN ('status', '-status') THEN orders.status END AS word,
           CASE WHEN %(then)s::text IN ('datetime', '-datetime') THEN orders.datetime
                WHEN %(then)s IN ('last_modified', '-last_modified') THEN orders.last_modified END AS next_moment,
           CASE WHEN %(then)s IN ('code', '-code') THEN orders.code
                WHEN %(then)s IN ('status', '-status') THEN orders.status END AS next_word
    FROM orders
    WHERE (NOT %(whole_event)s OR %(ordering)s NOT IN ('code', '-code')
           OR orders.organizer_id = %(organizer_id)s)
      AND (%(code)s::text IS NULL OR (orders.organizer_id = %(organizer_id)s AND orders.code = upper(%(code)s)))
      AND (%(email)s::text IS NULL OR (orders.organizer_id = %(organizer_id)s AND orders.email = %(email)s))
      AND (%(status)s::text IS NULL OR orders.status = %(status)s)
      AND (%(testmode)s::boolean IS NULL OR orders.testmode = %(testmode)s)
      AND (%(require_approval)s::boolean IS NULL OR orders.require_approval = %(require_approval)s)
      AND (%(created_since)s::timestamptz IS NULL OR orders.datetime >= %(created_since)s)
      AND (%(created_before)s::timestamptz IS NULL OR orders.datetime < %(created_before)s)
      AND (%(modified_since)s::timestamptz IS NULL OR orders.stored_at >= %(modified_since)s)
      -- few orders have more words than the index takes: then one has to look, order by order
      AND (%(locale)s::text IS NULL OR orders.words LIKE %(locale)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(locale)s FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(sales_channel)s::text IS NULL OR orders.words LIKE %(sales_channel)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(sales_channel)s FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(customer)s::text IS NULL OR orders.words LIKE %(customer)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(customer)s FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(payment_provider)s::text IS NULL OR orders.words LIKE %(payment_provider)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(payment_provider)s FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(item)s::text IS NULL OR orders.words LIKE %(item)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(item)s FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(variation)s::text IS NULL OR orders.words LIKE %(variation)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(variation)s FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(subevent)s::text IS NULL OR orders.words LIKE %(subevent)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE %(subevent)s FROM orders AS whole WHERE whole.id = orders.id)))
      -- width_bucket tells how many of the dates come no later: where none lies between, there is none to be found
      AND (%(after)s::bigint[] IS NULL OR orders.subevent_first = ANY (%(after)s::bigint[])
           OR (orders.subevent_last > orders.subevent_first
               AND width_bucket(orders.subevent_last, %(after)s::bigint[]) > width_bucket(orders.subevent_first, %(after)s::bigint[])
               AND (orders.subevent_last = ANY (%(after)s::bigint[]) OR EXISTS (
                        SELECT FROM string_to_array(coalesce(orders.words, (
                            SELECT whole.long_words FROM orders AS whole WHERE whole.id = orders.id)), E'\x7f') AS parts (words),
                            unnest(parts.words) AS part (word)
                        WHERE part.word = ANY (%(after_words)s::text[])))))
      AND (%(before)s::bigint[] IS NULL OR orders.subevent_first = ANY (%(before)s::bigint[])
           OR (orders.subevent_last > orders.subevent_first
               AND width_bucket(orders.subevent_last, %(before)s::bigint[]) > width_bucket(orders.subevent_first, %(before)s::bigint[])
               AND (orders.subevent_last = ANY (%(before)s::bigint[]) OR EXISTS (
                        SELECT FROM string_to_array(coalesce(orders.words, (
                            SELECT whole.long_words FROM orders AS whole WHERE whole.id = orders.id)), E'\x7f') AS parts (words),
                            unnest(parts.words) AS part (word)
                        WHERE part.word = ANY (%(before_words)s::text[])))))
      -- few orders have more text than the index takes; most of what is looked for begins no secret
      AND (%(search)s::text IS NULL
           OR orders.search LIKE %(search)s
           OR (orders.search IS NULL AND (
                   SELECT whole.long_search LIKE %(search)s FROM orders AS whole WHERE whole.id = orders.id))
           OR ((SELECT EXISTS (
                    SELECT FROM positions
                    WHERE positions.event_id = ANY (%(event_ids)s)
                      AND lower(positions.secret) LIKE %(secret_pattern)s))
               AND (orders.secrets LIKE %(secret_beginning)s
                    OR (orders.secrets IS NULL AND (
                            SELECT count(*) > 0 FROM positions
                            WHERE positions.order_id = orders.id AND NOT positions.canceled
                              AND lower(positions.secret) LIKE %(secret_pattern)s))))
           OR (%(search_code)s::text IS NOT NULL AND strpos(orders.code, %(search_code)s) > 0
               AND (%(search_event)s::text IS NULL OR orders.event_id = ANY (ARRAY(
                        SELECT events.id FROM events
                        WHERE events.organizer_id = %(organizer_id)s AND lower(events.slug) = lower(%(search_event)s))))))
), walked AS MATERIALIZED (
    -- an index has the order: the first rows of each event are the first ones it has
    SELECT first.*
    FROM unnest(%(event_ids)s::bigint[]) AS chosen (id), LATERAL (
        SELECT matching.* FROM matching
        WHERE matching.event_id = chosen.id
        ORDER BY CASE WHEN left(%(ordering)s, 1) <> '-' THEN moment END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN moment END DESC,
                 CASE WHEN left(%(ordering)s, 1) <> '-' THEN word END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN word END DESC,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN id END DESC,
                 id
        LIMIT %(size)s::bigint + %(offset)s::bigint + 1
    ) AS first
    WHERE %(walk)s
    ORDER BY CASE WHEN left(%(ordering)s, 1) <> '-' THEN moment END,
             CASE WHEN left(%(ordering)s, 1) = '-' THEN moment END DESC,
             CASE WHEN left(%(ordering)s, 1) <> '-' THEN word END,
             CASE WHEN left(%(ordering)s, 1) = '-' THEN word END DESC,
             CASE WHEN left(%(ordering)s, 1) = '-' THEN first.id END DESC,
             first.id
    LIMIT %(size)s::bigint + 1 OFFSET %(offset)s
), few AS MATERIALIZED (
    -- no index has the order: whatever comes later than the last of a page of some cannot be on the page of all
    SELECT matching.* FROM matching
    WHERE NOT %(walk)s AND matching.event_id = ANY (%(event_ids)s)
    ORDER BY CASE WHEN %(old_first)s THEN event_id END, CASE WHEN %(old_first)s THEN datetime END,
             CASE WHEN %(old_first)s THEN id END, event_id DESC, datetime DESC, id DESC
    LIMIT %(few)s
), bound AS MATERIALIZED (
    SELECT id, moment, word FROM few
    ORDER BY CASE WHEN left(%(ordering)s, 1) <> '-' THEN moment END,
             CASE WHEN left(%(ordering)s, 1) = '-' THEN moment END DESC,
             CASE WHEN left(%(ordering)s, 1) <> '-' THEN word END,
             CASE WHEN left(%(ordering)s, 1) = '-' THEN word END DESC,
             CASE WHEN left(%(then)s, 1) <> '-' THEN next_moment END,
             CASE WHEN left(%(then)s, 1) = '-' THEN next_moment END DESC,
             CASE WHEN left(%(then)s, 1) <> '-' THEN next_word END,
             CASE WHEN left(%(then)s, 1) = '-' THEN next_word END DESC,
             CASE WHEN left(%(ordering)s, 1) = '-' OR %(ordering)s = 'status' THEN id END DESC,
             id
    LIMIT 1 OFFSET %(size)s::bigint + %(offset)s::bigint
), last AS MATERIALIZED (
    (SELECT event_id, datetime, id FROM walked LIMIT 1 OFFSET %(size)s)
    UNION ALL
    (SELECT event_id, datetime, id FROM few LIMIT 1 OFFSET %(few)s::bigint - 1)
), others AS MATERIALIZED (
    -- the same reading counts all the others and keeps those within the bound; without conditions a smaller index does
    SELECT count(*) AS count,
           array_agg(ROW (id, moment, word, next_moment, next_word)) FILTER (
               WHERE (%(ordering)s IN ('datetime', 'last_modified') AND moment <= (SELECT moment FROM bound))
                  OR (%(ordering)s IN ('-datetime', '-last_modified') AND moment >= (SELECT moment FROM bound))
                  OR (%(ordering)s = 'code' AND word <= (SELECT word FROM bound))
                  OR (%(ordering)s = '-code' AND word >= (SELECT word FROM bound))
                  -- ids are quicker to compare than texts
                  OR (%(ordering)s IN ('status', '-status') AND (%(then)s IS NOT NULL OR id >= (SELECT id FROM bound))
                      AND word = (SELECT word FROM bound))
                  OR (%(ordering)s = 'status' AND word < (SELECT word FROM bound))
                  OR (%(ordering)s = '-status' AND word > (SELECT word FROM bound))) AS kept
    FROM matching
    WHERE NOT %(walk)s AND matching.event_id = ANY (%(event_ids)s) AND (SELECT count(*) FROM last) = 1
      AND (NOT %(conditions)s
           OR (%(old_first)s AND (event_id, datetime, id)
               > ((SELECT event_id FROM last), (SELECT datetime FROM last), (SELECT id FROM last)))
           OR (NOT %(old_first)s AND (event_id, datetime, id)
               < ((SELECT event_id FROM last), (SELECT datetime FROM last), (SELECT id FROM last))))
), page AS MATERIALIZED (
    SELECT sorted.id, row_number() OVER () AS place
    FROM (
        SELECT candidates.id
        FROM (
            SELECT id, moment, word, next_moment, next_word FROM few
            WHERE %(conditions)s OR (SELECT count(*) FROM last) = 0
            UNION ALL
            SELECT row.* FROM others, unnest(others.kept) AS row (
                id bigint, moment timestamptz, word text, next_moment timestamptz, next_word text)
        ) AS candidates
        WHERE NOT %(walk)s
        ORDER BY CASE WHEN left(%(ordering)s, 1) <> '-' THEN moment END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN moment END DESC,
                 CASE WHEN left(%(ordering)s, 1) <> '-' THEN word END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN word END DESC,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_moment END,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_moment END DESC,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_word END,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_word END DESC,
                 CASE WHEN left(%(ordering)s, 1) = '-' OR %(ordering)s = 'status' THEN id END DESC,
                 id
        LIMIT %(size)s OFFSET %(offset)s
    ) AS sorted
    UNION ALL
    (SELECT id, row_number() OVER () FROM walked LIMIT %(size)s)
), total AS MATERIALIZED (
    SELECT CASE
        WHEN NOT %(walk)s
        THEN (SELECT count(*) FROM few WHERE %(conditions)s OR (SELECT count(*) FROM last) = 0) + (SELECT count FROM others)
        -- a page that is not full is the last one, and whoever found that out has counted them all; after another one it
        -- is enough to count on from its end, but without conditions the smallest index is the quickest
        WHEN after.rows = 0 AND (shown.rows > 0 OR %(offset)s = 0) THEN shown.rows + %(offset)s::bigint
        WHEN after.rows > 0 AND %(conditions)s AND %(ordering)s = 'datetime'
        THEN shown.rows + after.rows + %(offset)s::bigint + (
            SELECT count(*) FROM matching
            WHERE matching.event_id = ANY (%(event_ids)s)
              AND (matching.moment, matching.id) > ((SELECT datetime FROM last), (SELECT id FROM last)))
        WHEN after.rows > 0 AND %(conditions)s AND %(ordering)s = '-datetime'
        THEN shown.rows + after.rows + %(offset)s::bigint + (
            SELECT count(*) FROM matching
            WHERE matching.event_id = ANY (%(event_ids)s)
              AND (matching.moment, matching.id) < ((SELECT datetime FROM last), (SELECT id FROM last)))
        ELSE (SELECT count(*) FROM matching WHERE matching.event_id = ANY (%(event_ids)s)) END AS count
    FROM (SELECT count(*) AS rows FROM page) AS shown, (SELECT count(*) AS rows FROM last) AS after
)
SELECT total.count, orders.doc::text AS doc, events.slug AS event
FROM total
LEFT JOIN page ON true
LEFT JOIN orders ON orders.id = page.id
LEFT JOIN events ON events.id = orders.event_id
ORDER BY page.place;
