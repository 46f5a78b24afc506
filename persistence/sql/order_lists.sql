-- Lists of orders. Conditions whose parameter is null fall away when the statement is planned, so each list gets the
-- index that fits it; that needs a plan for each call (`plan_each_call`), never a generic one. What is counted and sorted
-- are columns of an index alone, documents are fetched for the rows of the page.

-- name: plan_each_call until the transaction ends; compiling takes longer than counting, and a bitmap of all may be exact
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('jit', 'off', true),
       set_config('work_mem', '32MB', true), set_config('random_page_cost', '1.1', true);

-- name: page of the orders that match all conditions given, with the count of all; one row without document if none
WITH matching AS NOT MATERIALIZED (
    SELECT orders.id, orders.datetime, orders.code, orders.last_modified, orders.status
    FROM orders
    -- an event has one organizer, so that is asked for only where its index is the better one
    WHERE (%(event_id)s::bigint IS NOT NULL AND %(code)s::text IS NULL AND %(email)s::text IS NULL
            AND %(ordering)s NOT IN ('code', '-code')
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
      AND (%(modified_since)s::timestamptz IS NULL OR (orders.stored_at >= %(modified_since)s
               AND (%(event_id)s::bigint IS NOT NULL OR orders.event_id = ANY (ARRAY(
                        SELECT events.id FROM events WHERE events.organizer_id = %(organizer_id)s)))))
      AND (%(facets)s::text[] IS NULL OR orders.facets @> %(facets)s)
      -- * is for what is not among the facets because it is too much: then one has to look, order by order
      AND (%(payment_provider)s::text IS NULL OR (
               orders.facets && ARRAY['*', 'p' || %(payment_provider)s]
               AND (NOT orders.facets @> ARRAY['*'] OR (
                        SELECT count(*) > 0 FROM payments
                        WHERE payments.order_id = orders.id AND payments.provider = %(payment_provider)s))))
      AND (%(item)s::bigint IS NULL OR (
               orders.facets && ARRAY['*', 'i' || %(item)s::bigint]
               AND (NOT orders.facets @> ARRAY['*'] OR (
                        SELECT count(*) > 0 FROM positions
                        WHERE positions.order_id = orders.id AND positions.item = %(item)s))))
      AND (%(variation)s::bigint IS NULL OR (
               orders.facets && ARRAY['*', 'v' || %(variation)s::bigint]
               AND (NOT orders.facets @> ARRAY['*'] OR (
                        SELECT count(*) > 0 FROM positions
                        WHERE positions.order_id = orders.id AND positions.variation = %(variation)s))))
      AND (%(subevent)s::bigint IS NULL OR (
               orders.facets && ARRAY['*', 's' || %(subevent)s::bigint]
               AND (NOT orders.facets @> ARRAY['*'] OR (
                        SELECT count(*) > 0 FROM positions
                        WHERE positions.order_id = orders.id AND positions.subevent = %(subevent)s))))
      AND (%(subevent_after)s::timestamptz IS NULL OR (
               orders.facets && (ARRAY['*'] || ARRAY(
                   SELECT 's' || subevents.id FROM subevents JOIN events ON events.id = subevents.event_id
                   WHERE events.organizer_id = %(organizer_id)s
                     AND (%(event_id)s::bigint IS NULL OR events.id = %(event_id)s)
                     AND coalesce(subevents.body ->> 'date_to', subevents.body ->> 'date_from')::timestamptz
                        > %(subevent_after)s))
               AND (NOT orders.facets @> ARRAY['*'] OR (
                        SELECT count(*) > 0 FROM positions JOIN subevents ON subevents.id = positions.subevent
                        WHERE positions.order_id = orders.id
                          AND coalesce(subevents.body ->> 'date_to', subevents.body ->> 'date_from')::timestamptz
                        > %(subevent_after)s))))
      AND (%(subevent_before)s::timestamptz IS NULL OR (
               orders.facets && (ARRAY['*'] || ARRAY(
                   SELECT 's' || subevents.id FROM subevents JOIN events ON events.id = subevents.event_id
                   WHERE events.organizer_id = %(organizer_id)s
                     AND (%(event_id)s::bigint IS NULL OR events.id = %(event_id)s)
                     AND (subevents.body ->> 'date_from')::timestamptz < %(subevent_before)s))
               AND (NOT orders.facets @> ARRAY['*'] OR (
                        SELECT count(*) > 0 FROM positions JOIN subevents ON subevents.id = positions.subevent
                        WHERE positions.order_id = orders.id
                          AND (subevents.body ->> 'date_from')::timestamptz < %(subevent_before)s))))
      -- only what has trigrams is LIKE something, the rest is read and compared; in canceled positions nobody looks
      AND (%(search)s::text IS NULL
           OR ((%(search_like)s::text IS NULL OR orders.search LIKE lower(%(search_like)s))
               AND strpos(split_part(orders.search, E'\f', 1), lower(%(search)s)) > 0)
           OR ((%(code_like)s::text IS NULL OR orders.search LIKE lower(%(code_like)s))
               AND strpos(orders.code, %(search_code)s) > 0
               AND (%(search_event)s::text IS NULL OR orders.event_id IN (
                        SELECT events.id FROM events
                        WHERE events.organizer_id = %(organizer_id)s AND lower(events.slug) = lower(%(search_event)s))))
           OR orders.id = ANY (ARRAY(
                  SELECT positions.order_id FROM positions
                  WHERE (%(event_id)s::bigint IS NULL OR positions.event_id = %(event_id)s)
                    AND (%(event_id)s::bigint IS NOT NULL OR positions.event_id IN (
                             SELECT events.id FROM events WHERE events.organizer_id = %(organizer_id)s))
                    AND NOT positions.canceled AND lower(positions.secret) LIKE lower(%(secret_like)s))))
), page AS (
    SELECT sorted.*, row_number() OVER () AS place
    FROM (
        SELECT matching.id FROM matching
        ORDER BY CASE WHEN %(ordering)s = 'datetime' THEN datetime END,
                 CASE WHEN %(ordering)s = '-datetime' THEN datetime END DESC,
                 CASE WHEN %(ordering)s = 'code' THEN code END,
                 CASE WHEN %(ordering)s = '-code' THEN code END DESC,
                 CASE WHEN %(ordering)s = 'last_modified' THEN last_modified END,
                 CASE WHEN %(ordering)s = '-last_modified' THEN last_modified END DESC,
                 CASE WHEN %(ordering)s = 'status' THEN status END,
                 CASE WHEN %(ordering)s = 'status' THEN datetime END,
                 CASE WHEN %(ordering)s = '-status' THEN status END DESC,
                 CASE WHEN %(ordering)s = '-status' THEN datetime END DESC,
                 CASE WHEN %(ordering)s IN ('-datetime', '-last_modified', '-status') THEN id END DESC,
                 id
        LIMIT %(size)s OFFSET %(offset)s
    ) AS sorted
)
SELECT total.count, orders.doc::text AS doc, events.slug AS event
FROM (SELECT count(*) AS count FROM matching) AS total
LEFT JOIN page ON true
LEFT JOIN orders ON orders.id = page.id
LEFT JOIN events ON events.id = orders.event_id
ORDER BY page.place;
