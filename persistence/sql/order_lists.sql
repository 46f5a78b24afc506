-- Lists of orders. Conditions whose parameter is null fall away when the statement is planned; that needs a plan for
-- each call (`plan_each_call`), never a generic one. All that is looked for, counted and sorted is in one index, so
-- every list costs about what reading that index costs; documents are fetched for the rows of the page.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, a bitmap of all may be exact,
-- a list takes one core from a sale at most, and what is not visible to all yet makes reading everything look cheap
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_seqscan', 'off', true),
       set_config('work_mem', '32MB', true), set_config('hash_mem_multiplier', '16', true),
       set_config('random_page_cost', '1.1', true);

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
-- all is sorted upwards, by number, moment, word and what breaks ties, and read backwards where that is asked for
WITH matching AS NOT MATERIALIZED (
    SELECT orders.id, orders.event_id,
           CASE WHEN %(status_sign)s::bigint = 0 OR %(by)s::text IS NULL THEN 0
                ELSE %(status_sign)s::bigint * ascii(orders.status) END AS number,
           CASE %(by)s::text WHEN 'datetime' THEN orders.datetime WHEN 'last_modified' THEN orders.last_modified
                ELSE timestamptz '-infinity' END AS moment,
           CASE %(by)s WHEN 'code' THEN orders.code ELSE '' END AS word,
           -- the status and the id as one number
           CASE WHEN %(by)s IS NULL THEN %(status_sign)s::bigint * (1::bigint << 55) * ascii(orders.status) + orders.id ELSE 0
           END AS place,
           CASE %(tie)s::text WHEN 'datetime' THEN %(tie_sign)s::integer * extract(epoch FROM orders.datetime)
                WHEN 'last_modified' THEN %(tie_sign)s::integer * extract(epoch FROM orders.last_modified)
                WHEN 'status' THEN %(tie_sign)s::integer * ascii(orders.status) END AS tie,
           CASE %(tie)s WHEN 'code' THEN orders.code END AS tie_word
    FROM orders
    WHERE (NOT %(walk)s OR %(by)s <> 'code' OR orders.organizer_id = %(organizer_id)s)
      AND (%(code)s::text IS NULL OR (orders.organizer_id = %(organizer_id)s AND orders.code = upper(%(code)s)))
      AND (%(email)s::text IS NULL OR (orders.organizer_id = %(organizer_id)s AND orders.email = %(email)s))
      AND (%(status)s::text IS NULL OR orders.status = %(status)s)
      AND (%(testmode)s::boolean IS NULL OR orders.testmode = %(testmode)s)
      AND (%(require_approval)s::boolean IS NULL OR orders.require_approval = %(require_approval)s)
      AND (%(created_since)s::timestamptz IS NULL OR orders.datetime >= %(created_since)s)
      AND (%(created_before)s::timestamptz IS NULL OR orders.datetime < %(created_before)s)
      AND (%(modified_since)s::timestamptz IS NULL OR orders.stored_at >= %(modified_since)s)
      -- few orders have more words than the index takes: then one has to look, order by order
      AND (%(part)s::text IS NULL OR orders.words LIKE %(part)s
           OR (orders.words IS NULL AND (
                   SELECT whole.long_words LIKE ALL (%(parts)s::text[]) FROM orders AS whole WHERE whole.id = orders.id)))
      AND (%(more_parts)s::text[] IS NULL OR orders.words IS NULL OR orders.words LIKE ALL (%(more_parts)s::text[]))
      AND (%(subevent)s::bigint IS NULL OR orders.subevent_first = %(subevent)s OR orders.subevent_last = %(subevent)s
           -- only what lies between the two is among the words
           OR (%(subevent)s BETWEEN orders.subevent_first AND orders.subevent_last
               AND coalesce(orders.words, (SELECT whole.long_words FROM orders AS whole WHERE whole.id = orders.id))
                   LIKE %(subevent_word)s))
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
      -- few orders have more text than the index takes, and most of what is looked for begins no secret
      AND (%(search)s::text IS NULL
           OR orders.search LIKE %(search)s
           OR (orders.search IS NULL AND (
                   SELECT whole.long_search LIKE %(search)s FROM orders AS whole WHERE whole.id = orders.id))
           OR ((SELECT EXISTS (
                    SELECT FROM positions
                    WHERE positions.event_id = ANY (%(event_ids)s) AND lower(positions.secret) LIKE %(secret_pattern)s))
               AND ((%(secret_short)s AND orders.secrets LIKE %(secret_beginning)s)
                    OR ((orders.secrets IS NULL OR (NOT %(secret_short)s AND orders.secrets LIKE %(secret_beginning)s))
                        AND orders.id IN (
                            SELECT positions.order_id FROM positions
                            WHERE positions.event_id = ANY (%(event_ids)s) AND NOT positions.canceled
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
        ORDER BY CASE WHEN NOT %(down)s THEN moment END, CASE WHEN %(down)s THEN moment END DESC,
                 CASE WHEN NOT %(down)s THEN word END, CASE WHEN %(down)s THEN word END DESC,
                 CASE WHEN NOT %(down)s THEN id END, CASE WHEN %(down)s THEN id END DESC
        LIMIT %(size)s::bigint + %(offset)s::bigint + 1
    ) AS first
    WHERE %(walk)s
), span AS MATERIALIZED (
    -- no index has the order: where there are many orders, a sample tells where the page is, from all over their ids
    SELECT min(ends.id) AS first, max(ends.id) AS last,
           greatest(10, sqrt(max(ends.id) - min(ends.id)))::bigint AS step
    FROM unnest(%(event_ids)s::bigint[]) AS chosen (id), LATERAL (
        (SELECT orders.id FROM orders WHERE orders.event_id = chosen.id ORDER BY datetime, id LIMIT 1)
        UNION ALL
        (SELECT orders.id FROM orders WHERE orders.event_id = chosen.id ORDER BY datetime DESC, id DESC LIMIT 1)
    ) AS ends
    WHERE NOT %(walk)s AND EXISTS (
        SELECT FROM orders
        WHERE orders.event_id = ANY (%(event_ids)s) AND %(code)s IS NULL AND %(email)s IS NULL
          AND (%(created_since)s IS NULL OR orders.datetime >= %(created_since)s)
          AND (%(created_before)s IS NULL OR orders.datetime < %(created_before)s)
          AND (%(modified_since)s IS NULL OR orders.stored_at >= %(modified_since)s)
        OFFSET 10000)
), those AS NOT MATERIALIZED (
    SELECT * FROM matching WHERE NOT %(walk)s AND event_id = ANY (%(event_ids)s)
), sample AS MATERIALIZED (
    -- include: sampled_page
), cut AS MATERIALIZED (
    -- of how many rows the page is, and how many of them come before it
    SELECT (SELECT count(*) FROM walked) AS rows, %(offset)s::bigint AS skip WHERE %(walk)s
    UNION ALL
    SELECT rows, skip FROM among
), page AS MATERIALIZED (
    SELECT sorted.id, sorted.moment, CASE WHEN %(down)s THEN -row_number() OVER () ELSE row_number() OVER () END AS place
    FROM (
        SELECT id, moment
        FROM (
            SELECT id, number, moment, word, place, tie, tie_word FROM walked
            UNION ALL
            SELECT * FROM picked
        ) AS candidates
        ORDER BY CASE WHEN %(by)s IS NULL THEN place END, CASE WHEN %(status_sign)s <> 0 THEN number END,
                 CASE WHEN %(by)s <> 'code' THEN moment END, CASE WHEN %(by)s = 'code' THEN word END, tie,
                 CASE WHEN %(tie_sign)s > 0 THEN tie_word END, CASE WHEN %(tie_sign)s < 0 THEN tie_word END DESC,
                 %(id_sign)s::bigint * id
        LIMIT (SELECT greatest(0, least(%(size)s, rows - skip)) FROM cut)
        OFFSET (SELECT greatest(0, CASE WHEN %(down)s THEN rows - skip - %(size)s ELSE skip END) FROM cut)
    ) AS sorted
), last AS MATERIALIZED (
    SELECT moment, id FROM page ORDER BY place DESC LIMIT 1
), total AS MATERIALIZED (
    -- whoever found that there is no further page has counted them all; else it is enough to count on from the end of
    -- the page, but without conditions the smallest index is the quickest
    SELECT CASE
        WHEN NOT %(walk)s THEN (SELECT count FROM found)
        WHEN cut.rows <= %(offset)s::bigint + %(size)s THEN cut.rows
        WHEN NOT %(conditions)s THEN (SELECT count(*) FROM matching WHERE matching.event_id = ANY (%(event_ids)s))
        WHEN %(down)s
        THEN %(offset)s::bigint + %(size)s + (
            SELECT count(*) FROM matching
            WHERE matching.event_id = ANY (%(event_ids)s) AND (moment, id) < (SELECT moment, id FROM last))
        ELSE %(offset)s::bigint + %(size)s + (
            SELECT count(*) FROM matching
            WHERE matching.event_id = ANY (%(event_ids)s) AND (moment, id) > (SELECT moment, id FROM last)) END AS count
    FROM cut
)
SELECT total.count, orders.doc, events.slug AS event
FROM total
LEFT JOIN page ON true
LEFT JOIN orders ON orders.id = page.id
LEFT JOIN events ON events.id = orders.event_id
ORDER BY page.place;
