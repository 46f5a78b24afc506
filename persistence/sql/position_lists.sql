-- Lists of order positions. As in order_lists.sql, conditions whose parameter is null fall away when the statement is
-- planned, and all that is looked for and counted is in one index; positions repeat what lists need of their order, but for
-- its status, which changes while they do not.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, a bitmap of all may be exact,
-- a list takes one core from a sale at most, and what is not visible to all yet makes reading everything look cheap; orders
-- are read side by side with positions, or looked up for each, which costs what a hash of all of them does; names are in no
-- index: random pages must look dear enough that positions are read in the order in which they lie
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_seqscan', 'off', true),
       set_config('work_mem', '32MB', true), set_config('random_page_cost', '1.5', true),
       set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', %(side_by_side)s::boolean::text, true);

-- name: both positions and orders of an event: it is not run, but Postgres asked how many it expects
SELECT FROM positions WHERE event_id = %(event_id)s UNION ALL SELECT FROM orders WHERE event_id = %(event_id)s;

-- name: page of the positions that match all conditions given, with the count of all; one row without document if none
-- by time, an index has the order; else all is sorted upwards and read backwards where that is asked for (order_lists.sql)
WITH matching AS NOT MATERIALIZED (
    SELECT positions.id, positions.ordered_at, positions.positionid,
           CASE WHEN %(status_weight)s = 0 AND %(number_weight)s = 0 THEN 0
                WHEN %(status_weight)s = 0 THEN %(number_weight)s::bigint * positions.positionid
                WHEN %(number_weight)s = 0 THEN %(status_weight)s::bigint * ascii(theirs.status)
                ELSE %(status_weight)s::bigint * ascii(theirs.status) + %(number_weight)s::bigint * positions.positionid
           END AS number,
           CASE %(by)s::text WHEN 'order__datetime' THEN positions.ordered_at ELSE timestamptz '-infinity' END AS moment,
           -- the code of the order is the first of the words
           CASE %(by)s WHEN 'order__code' THEN split_part(coalesce(positions.words, (
                    SELECT whole.long_words FROM positions AS whole WHERE whole.id = positions.id)), E'\x7f', 2)
                WHEN 'attendee_name' THEN coalesce(positions.attendee_name, '') ELSE '' END AS word,
           CASE WHEN %(place_sign)s = 0 THEN 0 ELSE %(place_sign)s::bigint * positions.id END AS place,
           CASE %(tie)s::text WHEN 'order__datetime' THEN %(tie_sign)s::integer * extract(epoch FROM positions.ordered_at)
                WHEN 'positionid' THEN %(tie_sign)s::integer * positions.positionid
                WHEN 'order__status' THEN %(tie_sign)s::integer * ascii(theirs.status) END AS tie,
           CASE %(tie)s WHEN 'order__code' THEN split_part(coalesce(positions.words, (
                    SELECT whole.long_words FROM positions AS whole WHERE whole.id = positions.id)), E'\x7f', 2)
                WHEN 'attendee_name' THEN coalesce(positions.attendee_name, '') END AS tie_word
    -- where nothing is asked of them, they are not in the plan
    FROM positions LEFT JOIN orders AS theirs
        ON theirs.id = positions.order_id
           AND (NOT %(side_by_side)s OR (theirs.event_id = %(event_id)s AND theirs.datetime = positions.ordered_at))
    WHERE positions.event_id = %(event_id)s
      AND (%(canceled)s::boolean OR NOT positions.canceled)
      AND (%(order)s::text IS NULL OR positions.id = ANY (ARRAY(
               SELECT ids_of_positions.id FROM orders JOIN ids_of_positions ON ids_of_positions.order_id = orders.id
               WHERE orders.organizer_id = %(organizer_id)s AND orders.code = upper(%(order)s))))
      -- few positions have more words or text than the index takes: then one has to look, position by position
      AND (%(customer)s::text IS NULL OR positions.words LIKE %(customer)s
           OR (positions.words IS NULL AND (
                   SELECT whole.long_words LIKE %(customer)s FROM positions AS whole WHERE whole.id = positions.id)))
      AND (%(items)s::bigint[] IS NULL OR positions.item = ANY (%(items)s::bigint[]))
      AND (%(variations)s::bigint[] IS NULL OR positions.variation = ANY (%(variations)s::bigint[]))
      AND (%(subevents)s::bigint[] IS NULL OR positions.subevent = ANY (%(subevents)s::bigint[]))
      AND (%(addon_to)s::bigint[] IS NULL OR positions.addon_to = ANY (%(addon_to)s::bigint[]))
      AND (%(vouchers)s::bigint[] IS NULL OR positions.voucher = ANY (%(vouchers)s::bigint[]))
      AND (%(voucher_code)s::text IS NULL OR positions.voucher IN (
               SELECT vouchers.id FROM vouchers
               WHERE vouchers.event_id = %(event_id)s AND vouchers.body ->> 'code' = %(voucher_code)s))
      AND (%(has_checkin)s::boolean IS NULL OR positions.checked_in = %(has_checkin)s)
      AND (%(attendee_name)s::text IS NULL OR positions.words LIKE %(attendee_name)s
           OR (positions.words IS NULL AND (
                   SELECT whole.long_words LIKE %(attendee_name)s FROM positions AS whole WHERE whole.id = positions.id)))
      AND (%(secret)s::text IS NULL OR (lower(positions.secret) = lower(%(secret)s) AND positions.secret = %(secret)s))
      AND (%(pseudonymization_id)s::text IS NULL OR positions.pseudonymization_id = %(pseudonymization_id)s)
      AND (%(statuses)s::text[] IS NULL OR theirs.status = ANY (%(statuses)s))
      AND (%(search)s::text IS NULL
           OR positions.search LIKE %(search)s
           OR (positions.search IS NULL AND (
                   SELECT whole.long_search LIKE %(search)s FROM positions AS whole
                   WHERE whole.id = positions.id))
           -- codes, secrets and pseudonyms
           OR positions.words LIKE %(beginning)s
           OR (positions.words IS NULL AND (
                   SELECT whole.long_words LIKE %(beginning)s FROM positions AS whole
                   WHERE whole.id = positions.id)))
), walked AS MATERIALIZED (
    SELECT matching.id, matching.ordered_at, matching.positionid FROM matching
    WHERE %(walk)s
    ORDER BY CASE WHEN NOT %(down)s THEN ordered_at END, CASE WHEN %(down)s THEN ordered_at END DESC,
             CASE WHEN %(by_number)s THEN positionid END, CASE WHEN %(by_number)s THEN id END,
             tie, CASE WHEN %(tie_sign)s > 0 THEN tie_word END, CASE WHEN %(tie_sign)s < 0 THEN tie_word END DESC, id DESC
    LIMIT %(size)s::bigint + 1 OFFSET %(offset)s
), span AS MATERIALIZED (
    SELECT min(ends.id) AS first, max(ends.id) AS last,
           greatest(10, sqrt(max(ends.id) - min(ends.id)))::bigint AS step
    FROM (
        (SELECT id FROM positions WHERE event_id = %(event_id)s ORDER BY ordered_at, positionid, id LIMIT 1)
        UNION ALL
        (SELECT id FROM positions WHERE event_id = %(event_id)s ORDER BY ordered_at DESC, positionid DESC, id DESC LIMIT 1)
    ) AS ends
    WHERE NOT %(walk)s AND NOT %(narrow)s
      AND EXISTS (SELECT FROM positions WHERE positions.event_id = %(event_id)s OFFSET 10000)
), those AS NOT MATERIALIZED (
    SELECT * FROM matching WHERE NOT %(walk)s
), sample AS MATERIALIZED (
    -- include: sampled_page
), page AS MATERIALIZED (
    SELECT id, ordered_at, positionid, row_number() OVER () AS place FROM walked
    UNION ALL
    SELECT sorted.id, NULL, NULL, CASE WHEN %(down)s THEN -row_number() OVER () ELSE row_number() OVER () END
    FROM (
        SELECT id FROM picked
        ORDER BY CASE WHEN %(bound)s <> 'word, place' THEN number END,
                 CASE WHEN %(by)s = 'order__datetime' THEN moment END, CASE WHEN %(by)s <> 'order__datetime' THEN word END, tie,
                 CASE WHEN %(tie_sign)s > 0 THEN tie_word END, CASE WHEN %(tie_sign)s < 0 THEN tie_word END DESC,
                 %(id_sign)s::bigint * id
        LIMIT (SELECT greatest(0, least(%(size)s, rows - skip)) FROM among)
        OFFSET (SELECT greatest(0, CASE WHEN %(down)s THEN rows - skip - %(size)s ELSE skip END) FROM among)
    ) AS sorted
    WHERE NOT %(walk)s
), last AS MATERIALIZED (
    SELECT ordered_at, positionid, id FROM page WHERE place > %(size)s
), total AS MATERIALIZED (
    -- a page that is not full is the last one, and whoever found that out has counted them all; after another one it
    -- is enough to count on from its end
    SELECT CASE WHEN NOT %(walk)s THEN (SELECT count FROM found)
                WHEN shown.rows BETWEEN 1 AND %(size)s OR shown.rows + %(offset)s::bigint = 0
                THEN shown.rows + %(offset)s::bigint
                WHEN shown.rows > 0 AND %(by_number)s
                THEN shown.rows + %(offset)s::bigint + (
                    SELECT count(*) FROM matching
                    WHERE (ordered_at, positionid, id) > (SELECT ordered_at, positionid, id FROM last))
                ELSE (SELECT count(*) FROM matching) END AS count
    FROM (SELECT count(*) AS rows FROM page) AS shown
)
SELECT total.count, orders.doc, page.id
FROM total
LEFT JOIN page ON page.place <= %(size)s
LEFT JOIN positions ON positions.id = page.id
LEFT JOIN orders ON orders.id = positions.order_id
ORDER BY page.place;

-- name: known those of some ids that are positions of an event
SELECT id FROM positions WHERE event_id = %(event_id)s AND id = ANY (%(ids)s);
