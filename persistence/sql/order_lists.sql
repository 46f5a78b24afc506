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

-- name: page of the orders that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT orders.id, orders.event_id,
           CASE WHEN %(ordering)s IN ('datetime', '-datetime') THEN orders.datetime
                WHEN %(ordering)s IN ('last_modified', '-last_modified') THEN orders.last_modified END AS moment,
           -- the index of codes has nothing that conditions need: with any, they are sorted by hand
           CASE WHEN %(ordering)s IN ('code', '-code') AND %(whole_event)s THEN orders.code
                WHEN %(ordering)s IN ('code', '-code') THEN orders.code || ''
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
      AND (%(locale)s::text IS NULL OR strpos(orders.words, %(locale)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(locale)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(sales_channel)s::text IS NULL OR strpos(orders.words, %(sales_channel)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(sales_channel)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(customer)s::text IS NULL OR strpos(orders.words, %(customer)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(customer)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(payment_provider)s::text IS NULL OR strpos(orders.words, %(payment_provider)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(payment_provider)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(item)s::text IS NULL OR strpos(orders.words, %(item)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(item)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(variation)s::text IS NULL OR strpos(orders.words, %(variation)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(variation)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(subevent)s::text IS NULL OR strpos(orders.words, %(subevent)s) > 0
           OR (orders.words IS NULL AND (
                   SELECT strpos(whole.long_words, %(subevent)s) > 0 FROM orders AS whole WHERE whole.id = orders.id)))
      -- few orders have more dates than the lowest and the highest
      AND (%(subevent_after)s::timestamptz IS NULL OR orders.subevent_first IN (
               SELECT subevents.id FROM subevents
               WHERE subevents.event_id = ANY (%(event_ids)s)
                 AND coalesce(subevents.body ->> 'date_to', subevents.body ->> 'date_from')::timestamptz
                     > %(subevent_after)s)
           OR (orders.subevent_last > orders.subevent_first AND orders.subevent_last IN (
                   SELECT subevents.id FROM subevents
                   WHERE subevents.event_id = ANY (%(event_ids)s)
                     AND coalesce(subevents.body ->> 'date_to', subevents.body ->> 'date_from')::timestamptz
                         > %(subevent_after)s))
           OR (orders.subevent_last > orders.subevent_first AND (
                   SELECT count(*) > 0 FROM positions JOIN subevents ON subevents.id = positions.subevent
                   WHERE positions.order_id = orders.id
                     AND coalesce(subevents.body ->> 'date_to', subevents.body ->> 'date_from')::timestamptz
                         > %(subevent_after)s)))
      AND (%(subevent_before)s::timestamptz IS NULL OR orders.subevent_first IN (
               SELECT subevents.id FROM subevents
               WHERE subevents.event_id = ANY (%(event_ids)s)
                 AND (subevents.body ->> 'date_from')::timestamptz < %(subevent_before)s)
           OR (orders.subevent_last > orders.subevent_first AND orders.subevent_last IN (
                   SELECT subevents.id FROM subevents
                   WHERE subevents.event_id = ANY (%(event_ids)s)
                     AND (subevents.body ->> 'date_from')::timestamptz < %(subevent_before)s))
           OR (orders.subevent_last > orders.subevent_first AND (
                   SELECT count(*) > 0 FROM positions JOIN subevents ON subevents.id = positions.subevent
                   WHERE positions.order_id = orders.id
                     AND (subevents.body ->> 'date_from')::timestamptz < %(subevent_before)s)))
      -- few orders have more text than the index takes; most of what is looked for begins no secret
      AND (%(search)s::text IS NULL
           OR strpos(orders.search, %(search)s) > 0
           OR (orders.search IS NULL AND (
                   SELECT strpos(whole.long_search, %(search)s) > 0 FROM orders AS whole WHERE whole.id = orders.id))
           OR ((SELECT EXISTS (
                    SELECT FROM positions
                    WHERE positions.event_id = ANY (%(event_ids)s)
                      AND lower(positions.secret) LIKE %(secret_pattern)s))
               AND (strpos(orders.words, %(secret_beginning)s) > 0
                    OR (orders.words IS NULL AND (
                            SELECT strpos(whole.long_words, %(secret_beginning)s) > 0
                            FROM orders AS whole WHERE whole.id = orders.id))))
           OR (%(search_code)s::text IS NOT NULL AND strpos(orders.code, %(search_code)s) > 0
               AND (%(search_event)s::text IS NULL OR orders.event_id = ANY (ARRAY(
                        SELECT events.id FROM events
                        WHERE events.organizer_id = %(organizer_id)s AND lower(events.slug) = lower(%(search_event)s))))))
), page AS MATERIALIZED (
    SELECT sorted.id, sorted.moment, row_number() OVER () AS place
    FROM (
        SELECT first.*
        FROM unnest(%(event_ids)s::bigint[]) AS chosen (id), LATERAL (
            SELECT matching.* FROM matching
            WHERE matching.event_id = chosen.id
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
            LIMIT %(size)s::bigint + %(offset)s::bigint + 1
        ) AS first
        ORDER BY CASE WHEN left(%(ordering)s, 1) <> '-' THEN moment END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN moment END DESC,
                 CASE WHEN left(%(ordering)s, 1) <> '-' THEN word END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN word END DESC,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_moment END,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_moment END DESC,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_word END,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_word END DESC,
                 CASE WHEN left(%(ordering)s, 1) = '-' OR %(ordering)s = 'status' THEN first.id END DESC,
                 first.id
        LIMIT %(size)s::bigint + 1 OFFSET %(offset)s
    ) AS sorted
), last AS MATERIALIZED (
    SELECT moment, id FROM page WHERE place > %(size)s
), total AS MATERIALIZED (
    -- a page that is not full is the last one, and whoever found that out has counted them all; after another one it
    -- is enough to count on from its end, but without conditions the smallest index is the quickest
    SELECT CASE WHEN shown.rows BETWEEN 1 AND %(size)s OR shown.rows + %(offset)s::bigint = 0
                THEN shown.rows + %(offset)s::bigint
                WHEN shown.rows > 0 AND %(by_time)s AND %(ordering)s = 'datetime'
                THEN shown.rows + %(offset)s::bigint + (
                    SELECT count(*) FROM matching
                    WHERE matching.event_id = ANY (%(event_ids)s)
                      AND (matching.moment, matching.id) > ((SELECT moment FROM last), (SELECT id FROM last)))
                WHEN shown.rows > 0 AND %(by_time)s AND %(ordering)s = '-datetime'
                THEN shown.rows + %(offset)s::bigint + (
                    SELECT count(*) FROM matching
                    WHERE matching.event_id = ANY (%(event_ids)s)
                      AND (matching.moment, matching.id) < ((SELECT moment FROM last), (SELECT id FROM last)))
                ELSE (SELECT count(*) FROM matching WHERE matching.event_id = ANY (%(event_ids)s)) END AS count
    FROM (SELECT count(*) AS rows FROM page) AS shown
)
SELECT total.count, orders.doc::text AS doc, events.slug AS event
FROM total
LEFT JOIN page ON page.place <= %(size)s
LEFT JOIN orders ON orders.id = page.id
LEFT JOIN events ON events.id = orders.event_id
ORDER BY page.place;
