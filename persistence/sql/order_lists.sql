-- Lists of orders. Conditions whose parameter is null fall away when the statement is planned, so each list gets the
-- index that fits it; that needs a plan for each call (`plan_each_call`), never a generic one.

-- name: plan_each_call until the transaction ends
SELECT set_config('plan_cache_mode', 'force_custom_plan', true);

-- name: page of the orders that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT orders.id, orders.event_id, orders.datetime, orders.code, orders.last_modified, orders.status, orders.doc
    FROM orders
    -- an event has one organizer, so that is asked for only where its index is the better one
    WHERE (%(event_id)s::bigint IS NOT NULL AND %(code)s::text IS NULL AND %(email)s::text IS NULL
           OR orders.organizer_id = %(organizer_id)s)
      AND (%(event_id)s::bigint IS NULL OR orders.event_id = %(event_id)s)
      AND (%(events)s::text[] IS NULL OR orders.event_id IN (
               SELECT events.id FROM events
               WHERE events.organizer_id = %(organizer_id)s AND events.slug = ANY (%(events)s)))
      AND (%(code)s::text IS NULL OR orders.code = upper(%(code)s))
      AND (%(status)s::text IS NULL OR orders.status = %(status)s)
      AND (%(email)s::text IS NULL OR lower(orders.email) = lower(%(email)s))
      AND (%(testmode)s::boolean IS NULL OR orders.testmode = %(testmode)s)
      AND (%(require_approval)s::boolean IS NULL OR orders.require_approval = %(require_approval)s)
      AND (%(created_since)s::timestamptz IS NULL OR orders.datetime >= %(created_since)s)
      AND (%(created_before)s::timestamptz IS NULL OR orders.datetime < %(created_before)s)
      AND (%(modified_since)s::timestamptz IS NULL OR orders.stored_at >= %(modified_since)s)
      AND (%(locale)s::text IS NULL OR coalesce(orders.doc ->> 'locale', 'en') = %(locale)s)
      AND (%(sales_channel)s::text IS NULL OR coalesce(orders.doc ->> 'sales_channel', 'web') = %(sales_channel)s)
      AND (%(customer)s::text IS NULL OR orders.doc ->> 'customer' = %(customer)s)
      AND (%(payment_provider)s::text IS NULL OR EXISTS (
               SELECT FROM payments
               WHERE payments.order_id = orders.id AND payments.provider = %(payment_provider)s))
      AND (%(item)s::bigint IS NULL OR EXISTS (
               SELECT FROM positions WHERE positions.order_id = orders.id AND positions.item = %(item)s))
      AND (%(variation)s::bigint IS NULL OR EXISTS (
               SELECT FROM positions WHERE positions.order_id = orders.id AND positions.variation = %(variation)s))
      AND (%(subevent)s::bigint IS NULL OR EXISTS (
               SELECT FROM positions WHERE positions.order_id = orders.id AND positions.subevent = %(subevent)s))
      AND (%(subevent_after)s::timestamptz IS NULL OR EXISTS (
               SELECT FROM positions JOIN subevents ON subevents.id = positions.subevent
               WHERE positions.order_id = orders.id
                 AND coalesce(subevents.body ->> 'date_to', subevents.body ->> 'date_from')::timestamptz
                     > %(subevent_after)s))
      AND (%(subevent_before)s::timestamptz IS NULL OR EXISTS (
               SELECT FROM positions JOIN subevents ON subevents.id = positions.subevent
               WHERE positions.order_id = orders.id
                 AND (subevents.body ->> 'date_from')::timestamptz < %(subevent_before)s))
      AND (%(search)s::text IS NULL
           OR (strpos(orders.code, %(search_code)s) > 0
               AND (%(search_event)s::text IS NULL OR orders.event_id IN (
                        SELECT events.id FROM events
                        WHERE events.organizer_id = %(organizer_id)s AND lower(events.slug) = lower(%(search_event)s))))
           OR strpos(lower(concat_ws(E'\n', orders.email, orders.doc ->> 'comment',
                                     orders.doc -> 'invoice_address' ->> 'company')), lower(%(search)s)) > 0
           OR EXISTS (
               SELECT FROM (
                   SELECT orders.doc -> 'invoice_address' -> 'name_parts' AS parts, NULL AS email, NULL AS secret
                   UNION ALL
                   SELECT p -> 'attendee_name_parts', p ->> 'attendee_email', p ->> 'secret'
                   FROM jsonb_array_elements(orders.doc -> 'positions') AS p
                   WHERE NOT coalesce((p ->> 'canceled')::boolean, false)
               ) AS person
               WHERE starts_with(lower(person.secret), lower(%(search)s))
                  OR strpos(lower(concat_ws(E'\n',
                         person.email, person.parts ->> '_legacy', person.parts ->> 'full_name',
                         concat_ws(' ', person.parts ->> 'title', person.parts ->> 'given_name',
                                   person.parts ->> 'middle_name', person.parts ->> 'family_name'),
                         concat_ws(' ', person.parts ->> 'given_name', person.parts ->> 'family_name'),
                         concat_ws(' ', person.parts ->> 'family_name', person.parts ->> 'given_name'),
                         concat_ws(', ', person.parts ->> 'family_name', person.parts ->> 'given_name'))),
                     lower(%(search)s)) > 0))
), page AS (
    SELECT sorted.*, row_number() OVER () AS place
    FROM (
        SELECT matching.* FROM matching
        ORDER BY CASE WHEN %(ordering)s = 'datetime' THEN datetime END,
                 CASE WHEN %(ordering)s = '-datetime' THEN datetime END DESC,
                 CASE WHEN %(ordering)s = 'code' THEN code END,
                 CASE WHEN %(ordering)s = '-code' THEN code END DESC,
                 CASE WHEN %(ordering)s = 'last_modified' THEN last_modified END,
                 CASE WHEN %(ordering)s = '-last_modified' THEN last_modified END DESC,
                 CASE WHEN %(ordering)s = 'status' THEN status END,
                 CASE WHEN %(ordering)s = '-status' THEN status END DESC,
                 id
        LIMIT %(size)s OFFSET %(offset)s
    ) AS sorted
)
SELECT total.count, page.doc::text AS doc, events.slug AS event
FROM (SELECT count(*) AS count FROM matching) AS total
LEFT JOIN page ON true
LEFT JOIN events ON events.id = page.event_id
ORDER BY page.place;
