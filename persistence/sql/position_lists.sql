-- Lists of order positions. As in order_lists.sql, conditions whose parameter is null fall away when the statement is
-- planned, and all that is looked for and counted is in one index; positions repeat what lists need of their order.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, a bitmap of all may be exact,
-- a list takes one core from a sale at most, and what is not visible to all yet makes reading everything look cheap
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_seqscan', 'off', true),
       set_config('work_mem', '32MB', true), set_config('random_page_cost', '1.1', true);

-- name: page of the positions that match all conditions given, with the count of all; one row without document if none
-- by time, an index has the order; else all is sorted upwards and read backwards where that is asked for (order_lists.sql)
WITH matching AS NOT MATERIALIZED (
    SELECT positions.id, positions.ordered_at, positions.positionid,
           CASE WHEN %(status_weight)s = 0 AND %(number_weight)s = 0 THEN 0
                WHEN %(status_weight)s = 0 THEN %(number_weight)s::bigint * positions.positionid
                WHEN %(number_weight)s = 0 THEN %(status_weight)s::bigint * ascii(positions.status)
                ELSE %(status_weight)s::bigint * ascii(positions.status) + %(number_weight)s::bigint * positions.positionid
           END AS number,
           CASE %(by)s::text WHEN 'order__datetime' THEN positions.ordered_at ELSE timestamptz '-infinity' END AS moment,
           -- the code of the order is the first of the words
           CASE %(by)s WHEN 'order__code' THEN split_part(coalesce(positions.words, (
                    SELECT whole.long_words FROM positions AS whole WHERE whole.id = positions.id)), E'\x7f', 2)
                WHEN 'attendee_name' THEN coalesce(positions.attendee_name, '') ELSE '' END AS word,
           CASE WHEN %(place_sign)s = 0 THEN 0 ELSE %(place_sign)s::bigint * positions.id END AS place,
           CASE %(tie)s::text WHEN 'order__datetime' THEN %(tie_sign)s::integer * extract(epoch FROM positions.ordered_at)
                WHEN 'positionid' THEN %(tie_sign)s::integer * positions.positionid
                WHEN 'order__status' THEN %(tie_sign)s::integer * ascii(positions.status) END AS tie,
           CASE %(tie)s WHEN 'order__code' THEN split_part(coalesce(positions.words, (
                    SELECT whole.long_words FROM positions AS whole WHERE whole.id = positions.id)), E'\x7f', 2)
                WHEN 'attendee_name' THEN coalesce(positions.attendee_name, '') END AS tie_word
    FROM positions
    WHERE positions.event_id = %(event_id)s
      AND (%(canceled)s::boolean OR NOT positions.canceled)
      AND (%(order)s::text IS NULL OR positions.order_id = (
               SELECT orders.id FROM orders
               WHERE orders.organizer_id = %(organizer_id)s AND orders.code = upper(%(order)s)))
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
      AND (%(statuses)s::text[] IS NULL OR positions.status = ANY (%(statuses)s))
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
), sample AS MATERIALIZED (
    SELECT number, moment, word, place,
           row_number() OVER (ORDER BY number, moment, word, place) AS nth, count(*) OVER () AS rows
    FROM matching
    WHERE NOT %(walk)s
      AND matching.id = ANY (ARRAY(
              SELECT run.first + abs(hashint8(run.first)::bigint) %% (span.step - 4) + another
              FROM span, generate_series(span.first, span.last, span.step) AS run (first), generate_series(0, 4) AS another))
), guess AS MATERIALIZED (
    SELECT rows, floor(first - 25 - 3 * sqrt(first * (rows - first) / rows)) AS first,
           ceil(last + 25 + 3 * sqrt(last * (rows - last) / rows)) AS last
    FROM (
        SELECT one.rows, least(one.rows, %(offset)s * 5.0 / span.step) AS first,
               least(one.rows, (%(offset)s::bigint + %(size)s::bigint) * 5.0 / span.step) AS last
        FROM span, (SELECT rows FROM sample LIMIT 1) AS one
    ) AS exact
), low AS MATERIALIZED (
    SELECT sample.* FROM sample, guess
    WHERE sample.nth = CASE WHEN %(down)s THEN guess.rows + 1 - guess.last ELSE guess.first END
), high AS MATERIALIZED (
    SELECT sample.* FROM sample, guess
    WHERE sample.nth = CASE WHEN %(down)s THEN guess.rows + 1 - guess.first ELSE guess.last END
), near AS MATERIALIZED (
    SELECT count(*) AS count,
           count(*) FILTER (WHERE comes_before) AS before,
           array_agg(ROW (id, number, moment, word, tie, tie_word)) FILTER (WHERE (comes_after OR comes_before) IS NOT TRUE) AS kept
    FROM matching, LATERAL (
        SELECT CASE
                   WHEN %(by)s IS NULL THEN (number, place) < (SELECT number, place FROM low)
                   WHEN %(status_weight)s = 0 AND %(number_weight)s = 0 THEN (word, place) < (SELECT word, place FROM low)
                   ELSE (number, moment, word) < (SELECT number, moment, word FROM low) END AS under_low,
               CASE
                   WHEN %(by)s IS NULL THEN (number, place) >= (SELECT number, place FROM high)
                   WHEN %(status_weight)s = 0 AND %(number_weight)s = 0 THEN (word, place) >= (SELECT word, place FROM high)
                   ELSE (number, moment, word) >= (SELECT number, moment, word FROM high) END AS over_high
    ) AS compared, LATERAL (
        SELECT %(offset)s > 0 AND CASE WHEN %(down)s THEN over_high ELSE under_low END AS comes_before,
               CASE WHEN %(down)s THEN under_low ELSE over_high END AS comes_after
    ) AS placed
    WHERE NOT %(walk)s
), found AS MATERIALIZED (
    SELECT count, before, rows, %(offset)s >= count
               OR (before <= %(offset)s AND before + rows >= least(%(offset)s + %(size)s::bigint, count)) AS whole
    FROM near, LATERAL (SELECT coalesce(cardinality(kept), 0) AS rows) AS one
), cut AS MATERIALIZED (
    SELECT CASE WHEN whole THEN rows ELSE count END AS rows, CASE WHEN whole THEN %(offset)s - before ELSE %(offset)s END AS skip
    FROM found
), page AS MATERIALIZED (
    SELECT id, ordered_at, positionid, row_number() OVER () AS place FROM walked
    UNION ALL
    SELECT sorted.id, NULL, NULL, CASE WHEN %(down)s THEN -row_number() OVER () ELSE row_number() OVER () END
    FROM (
        SELECT candidates.id
        FROM (
            SELECT row.* FROM near, unnest(near.kept) AS row (
                id bigint, number bigint, moment timestamptz, word text, tie numeric, tie_word text)
            WHERE (SELECT whole FROM found)
            UNION ALL
            SELECT id, number, moment, word, tie, tie_word FROM matching
            WHERE NOT %(walk)s AND (SELECT NOT whole FROM found)
        ) AS candidates
        ORDER BY number, moment, word, tie, CASE WHEN %(tie_sign)s > 0 THEN tie_word END,
                 CASE WHEN %(tie_sign)s < 0 THEN tie_word END DESC, CASE WHEN %(down)s THEN id ELSE -id END
        LIMIT (SELECT greatest(0, least(%(size)s, rows - skip)) FROM cut)
        OFFSET (SELECT greatest(0, CASE WHEN %(down)s THEN rows - skip - %(size)s ELSE skip END) FROM cut)
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
SELECT total.count, orders.doc::text AS doc, page.id
FROM total
LEFT JOIN page ON page.place <= %(size)s
LEFT JOIN positions ON positions.id = page.id
LEFT JOIN orders ON orders.id = positions.order_id
ORDER BY page.place;

-- name: known those of some ids that are positions of an event
SELECT id FROM positions WHERE event_id = %(event_id)s AND id = ANY (%(ids)s);
