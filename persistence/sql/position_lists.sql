-- Lists of order positions. As in order_lists.sql, conditions whose parameter is null fall away when the statement is
-- planned, so each list gets the index that fits it; that needs a plan for each call. Without a condition on orders the
-- planner does not join them, as each position has at most one.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, and a bitmap of all may be exact
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('work_mem', '32MB', true), set_config('random_page_cost', '1.1', true);

-- name: page of the positions that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT positions.id, positions.positionid, positions.attendee_name, positions.ordered_at, positions.status,
           orders.code, orders.organizer_id, orders.event_id
    FROM positions LEFT JOIN orders ON orders.id = positions.order_id
    WHERE positions.event_id = %(event_id)s
      AND (%(canceled)s::boolean OR NOT positions.canceled)
      AND (%(order)s::text IS NULL
           OR (orders.organizer_id = %(organizer_id)s AND orders.code = upper(%(order)s)))
      AND (%(customer)s::text IS NULL
           OR (orders.event_id = %(event_id)s AND orders.facets @> ARRAY['c' || left(%(customer)s, 64)]))
      AND (%(items)s::bigint[] IS NULL OR positions.item = ANY (%(items)s))
      AND (%(variations)s::bigint[] IS NULL OR positions.variation = ANY (%(variations)s))
      AND (%(subevents)s::bigint[] IS NULL OR positions.subevent = ANY (%(subevents)s))
      AND (%(addon_to)s::bigint[] IS NULL OR positions.addon_to = ANY (%(addon_to)s))
      AND (%(vouchers)s::bigint[] IS NULL OR positions.voucher = ANY (%(vouchers)s))
      AND (%(voucher_code)s::text IS NULL OR positions.voucher IN (
               SELECT vouchers.id FROM vouchers
               WHERE vouchers.event_id = %(event_id)s AND vouchers.body ->> 'code' = %(voucher_code)s))
      AND (%(has_checkin)s::boolean IS NULL OR %(has_checkin)s = EXISTS (
               SELECT FROM checkins WHERE checkins.position_id = positions.id))
      AND (%(attendee_name)s::text IS NULL OR positions.id = ANY (ARRAY(
               SELECT named.id FROM positions AS named
               WHERE named.event_id = %(event_id)s AND lower(named.attendee_name) = lower(%(attendee_name)s)
               UNION ALL
               SELECT addon.id FROM positions AS named JOIN positions AS addon ON addon.addon_to = named.id
               WHERE named.event_id = %(event_id)s AND lower(named.attendee_name) = lower(%(attendee_name)s))))
      AND (%(secret)s::text IS NULL OR (lower(positions.secret) = lower(%(secret)s) AND positions.secret = %(secret)s))
      AND (%(pseudonymization_id)s::text IS NULL OR positions.pseudonymization_id = %(pseudonymization_id)s)
      AND (%(statuses)s::text[] IS NULL OR positions.status = ANY (%(statuses)s))
      AND (%(search)s::text IS NULL OR positions.id = ANY (ARRAY(
               SELECT found.id FROM orders AS o JOIN positions AS found ON found.order_id = o.id
               WHERE o.event_id = %(event_id)s
                 AND (%(search_like)s::text IS NULL OR o.search LIKE lower(%(search_like)s))
                 AND strpos(o.search, lower(%(search)s)) > 0
                 AND (starts_with(o.code, upper(%(search)s))
                      OR strpos(lower(concat_ws(E'\n', o.email, o.doc -> 'invoice_address' ->> 'company')),
                                lower(%(search)s)) > 0
                      OR EXISTS (
                          SELECT FROM jsonb_array_elements(o.doc -> 'positions') AS p
                          WHERE (p ->> 'id')::bigint IN (found.id, found.addon_to)
                            AND strpos(lower(concat_ws(E'\n', p ->> 'attendee_name', p ->> 'attendee_email')),
                                       lower(%(search)s)) > 0)
                      OR EXISTS (
                          SELECT FROM (SELECT o.doc -> 'invoice_address' -> 'name_parts') AS payer (parts)
                          WHERE strpos(lower(concat_ws(E'\n',
                                    payer.parts ->> '_legacy', payer.parts ->> 'full_name',
                                    concat_ws(' ', payer.parts ->> 'title', payer.parts ->> 'given_name',
                                              payer.parts ->> 'middle_name', payer.parts ->> 'family_name'),
                                    concat_ws(' ', payer.parts ->> 'given_name', payer.parts ->> 'family_name'))),
                                lower(%(search)s)) > 0))
               UNION ALL
               SELECT found.id FROM positions AS found
               WHERE found.event_id = %(event_id)s AND lower(found.secret) LIKE lower(%(beginning)s)
               UNION ALL
               SELECT found.id FROM positions AS found
               WHERE found.event_id = %(event_id)s AND found.pseudonymization_id LIKE upper(%(beginning)s))))
), page AS (
    SELECT sorted.*, row_number() OVER () AS place
    FROM (
        SELECT matching.id FROM matching
        -- so that the codes come from their index
        WHERE %(ordering)s NOT IN ('order__code', '-order__code')
           OR (matching.organizer_id = %(organizer_id)s AND matching.event_id = %(event_id)s)
        ORDER BY CASE WHEN %(ordering)s IN ('order__datetime', 'order__datetime,positionid') THEN ordered_at END,
                 CASE WHEN %(ordering)s = '-order__datetime' THEN ordered_at END DESC,
                 CASE WHEN %(ordering)s = 'order__datetime,positionid' THEN positionid END,
                 CASE WHEN %(ordering)s = 'order__datetime,positionid' THEN id END,
                 CASE WHEN %(ordering)s = 'order__code' THEN code END,
                 CASE WHEN %(ordering)s = '-order__code' THEN code END DESC,
                 CASE WHEN %(ordering)s = 'positionid' THEN positionid END,
                 CASE WHEN %(ordering)s = '-positionid' THEN positionid END DESC,
                 CASE WHEN %(ordering)s = 'attendee_name' THEN attendee_name END NULLS FIRST,
                 CASE WHEN %(ordering)s = '-attendee_name' THEN attendee_name END DESC NULLS LAST,
                 CASE WHEN %(ordering)s = 'order__status' THEN status END,
                 CASE WHEN %(ordering)s = '-order__status' THEN status END DESC,
                 id DESC
        LIMIT %(size)s OFFSET %(offset)s
    ) AS sorted
)
SELECT total.count, orders.doc::text AS doc, page.id
FROM (SELECT count(*) AS count FROM matching) AS total
LEFT JOIN page ON true
LEFT JOIN positions ON positions.id = page.id
LEFT JOIN orders ON orders.id = positions.order_id
ORDER BY page.place;

-- name: known those of some ids that are positions of an event
SELECT id FROM positions WHERE event_id = %(event_id)s AND id = ANY (%(ids)s);
