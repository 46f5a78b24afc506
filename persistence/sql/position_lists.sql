-- Lists of order positions. As in order_lists.sql, conditions whose parameter is null fall away when the statement is
-- planned, and all that is looked for and counted is in one index; positions repeat what lists need of their order.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, a bitmap of all may be exact,
-- a list takes one core from a sale at most, and what is not visible to all yet makes reading everything look cheap
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('max_parallel_workers_per_gather', '0', true), set_config('enable_seqscan', 'off', true),
       set_config('work_mem', '32MB', true), set_config('random_page_cost', '1.1', true);

-- name: page of the positions that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT positions.id,
           CASE WHEN %(ordering)s IN ('order__datetime', '-order__datetime', 'order__datetime,positionid')
                THEN positions.ordered_at END AS moment,
           CASE WHEN %(ordering)s IN ('positionid', '-positionid', 'order__datetime,positionid')
                THEN positions.positionid END AS number,
           -- the code of the order is the first of the words
           CASE WHEN %(ordering)s IN ('order__code', '-order__code') THEN split_part(coalesce(positions.words, (
                    SELECT whole.long_words FROM positions AS whole WHERE whole.id = positions.id)), E'\x7f', 2)
                WHEN %(ordering)s IN ('attendee_name', '-attendee_name') THEN positions.attendee_name
                WHEN %(ordering)s IN ('order__status', '-order__status') THEN positions.status END AS word,
           CASE WHEN %(then)s::text IN ('order__datetime', '-order__datetime') THEN positions.ordered_at END AS next_moment,
           CASE WHEN %(then)s IN ('positionid', '-positionid') THEN positions.positionid END AS next_number,
           CASE WHEN %(then)s IN ('attendee_name', '-attendee_name') THEN positions.attendee_name
                WHEN %(then)s IN ('order__status', '-order__status') THEN positions.status END AS next_word
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
), page AS MATERIALIZED (
    SELECT sorted.*, row_number() OVER () AS place
    FROM (
        SELECT matching.id, matching.moment, matching.number FROM matching
        ORDER BY CASE WHEN left(%(ordering)s, 1) <> '-' THEN moment END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN moment END DESC,
                 CASE WHEN left(%(ordering)s, 1) <> '-' THEN number END,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN number END DESC,
                 CASE WHEN left(%(ordering)s, 1) <> '-' THEN word END NULLS FIRST,
                 CASE WHEN left(%(ordering)s, 1) = '-' THEN word END DESC NULLS LAST,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_moment END,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_moment END DESC,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_number END,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_number END DESC,
                 CASE WHEN left(%(then)s, 1) <> '-' THEN next_word END NULLS FIRST,
                 CASE WHEN left(%(then)s, 1) = '-' THEN next_word END DESC NULLS LAST,
                 CASE WHEN %(ordering)s = 'order__datetime,positionid' THEN id END,
                 id DESC
        LIMIT %(size)s::bigint + 1 OFFSET %(offset)s
    ) AS sorted
), last AS MATERIALIZED (
    SELECT moment, number, id FROM page WHERE place > %(size)s
), total AS MATERIALIZED (
    -- a page that is not full is the last one, and whoever found that out has counted them all; after another one it
    -- is enough to count on from its end
    SELECT CASE WHEN shown.rows BETWEEN 1 AND %(size)s OR shown.rows + %(offset)s::bigint = 0
                THEN shown.rows + %(offset)s::bigint
                WHEN shown.rows > 0 AND %(ordering)s = 'order__datetime,positionid'
                THEN shown.rows + %(offset)s::bigint + (
                    SELECT count(*) FROM matching
                    WHERE (moment, number, id) > ((SELECT moment FROM last), (SELECT number FROM last), (SELECT id FROM last)))
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
