-- Lists of order positions. As in order_lists.sql, conditions whose parameter is null fall away when the statement is
-- planned, so each list gets the index that fits it; that needs a plan for each call.

-- name: plan_each_call until the transaction ends
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: page of the positions that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT positions.id, positions.positionid, positions.attendee_name, orders.datetime, orders.code, orders.status,
           orders.doc
    FROM positions JOIN orders ON orders.id = positions.order_id
    -- a position's event is its order's, so that is asked for again only where an index of positions begins with it
    WHERE orders.event_id = %(event_id)s
      AND (%(canceled)s::boolean OR NOT positions.canceled)
      AND (%(order)s::text IS NULL
           OR (orders.organizer_id = %(organizer_id)s AND orders.code = upper(%(order)s)))
      AND (%(customer)s::text IS NULL OR orders.doc ->> 'customer' = %(customer)s)
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
      AND (%(secret)s::text IS NULL
           OR (positions.event_id = %(event_id)s AND positions.secret = %(secret)s))
      AND (%(pseudonymization_id)s::text IS NULL
           OR (positions.event_id = %(event_id)s AND positions.pseudonymization_id = %(pseudonymization_id)s))
      AND (%(statuses)s::text[] IS NULL OR orders.status = ANY (%(statuses)s))
      AND (%(search)s::text IS NULL
           OR starts_with(orders.code, upper(%(search)s))
           OR starts_with(lower(positions.secret), lower(%(search)s))
           OR starts_with(positions.pseudonymization_id, upper(%(search)s))
           OR EXISTS (
               SELECT FROM jsonb_array_elements(orders.doc -> 'positions') AS p
               WHERE (p ->> 'id')::bigint IN (positions.id, positions.addon_to)
                 AND strpos(lower(concat_ws(E'\n', p ->> 'attendee_name', p ->> 'attendee_email')),
                            lower(%(search)s)) > 0)
           OR strpos(lower(concat_ws(E'\n', orders.email, orders.doc -> 'invoice_address' ->> 'company')),
                     lower(%(search)s)) > 0
           OR EXISTS (
               SELECT FROM (SELECT orders.doc -> 'invoice_address' -> 'name_parts') AS payer (parts)
               WHERE strpos(lower(concat_ws(E'\n',
                         payer.parts ->> '_legacy', payer.parts ->> 'full_name',
                         concat_ws(' ', payer.parts ->> 'title', payer.parts ->> 'given_name',
                                   payer.parts ->> 'middle_name', payer.parts ->> 'family_name'),
                         concat_ws(' ', payer.parts ->> 'given_name', payer.parts ->> 'family_name'))),
                     lower(%(search)s)) > 0))
), page AS (
    SELECT sorted.*, row_number() OVER () AS place
    FROM (
        SELECT matching.* FROM matching
        ORDER BY CASE WHEN %(ordering)s IN ('order__datetime', 'order__datetime,positionid') THEN datetime END,
                 CASE WHEN %(ordering)s = '-order__datetime' THEN datetime END DESC,
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
SELECT total.count, page.doc::text AS doc, page.id
FROM (SELECT count(*) AS count FROM matching) AS total
LEFT JOIN page ON true
ORDER BY page.place;

-- name: known those of some ids that are positions of an event
SELECT id FROM positions WHERE event_id = %(event_id)s AND id = ANY (%(ids)s);
