-- Invoices, their numbers and files. Everything that issues one holds `lock` first, so numbers follow each other without
-- gaps and no order gets two invoices.

-- name: lock issuing invoices of an organizer until the transaction ends
SELECT pg_advisory_xact_lock(hashtextextended('invoices', %(organizer_id)s));

-- name: next_number of a series
INSERT INTO invoice_series (organizer_id, prefix, last) VALUES (%(organizer_id)s, %(prefix)s, 1)
ON CONFLICT ON CONSTRAINT invoice_series_pkey DO UPDATE SET last = invoice_series.last + 1
RETURNING last;

-- name: number_used by an invoice of the organizer?
SELECT 1 AS used FROM invoices WHERE organizer_id = %(organizer_id)s AND number = %(number)s::text;

-- name: add an invoice, and ask for its file
WITH added AS (
    INSERT INTO invoices (organizer_id, event_id, order_id, order_code, order_version, number, series, place,
                          is_cancellation, refers, date, locale, body)
    VALUES (%(organizer_id)s, %(event_id)s, %(order_id)s, %(order_code)s, %(order_version)s, %(number)s::text, %(series)s,
            %(place)s, %(is_cancellation)s, %(refers)s, %(date)s, %(locale)s, %(body)s::jsonb)
    RETURNING id
)
INSERT INTO invoice_files (invoice_id) SELECT id FROM added
RETURNING invoice_id AS id;

-- name: cancel an invoice; the cancellation is added besides
UPDATE invoices SET canceled = true WHERE id = %(id)s;

-- name: rewrite an invoice, and ask for its file again
WITH rewritten AS (
    UPDATE invoices SET body = %(body)s::jsonb, locale = %(locale)s, order_version = %(order_version)s
    WHERE id = %(id)s
    RETURNING id
)
UPDATE invoice_files SET pdf = NULL, due_at = now(), tries = 0, error = NULL
FROM rewritten WHERE invoice_files.invoice_id = rewritten.id;

-- name: of_orders all invoices of some orders, in the order they were issued
SELECT id, order_id, order_code, order_version, number, is_cancellation, refers, canceled, date, issued_at,
       body::text AS body
FROM invoices WHERE order_id = ANY (%(order_ids)s) ORDER BY id;

-- name: one invoice of an event by its number
SELECT id, order_id, order_code, order_version, number, is_cancellation, refers, canceled, date, issued_at,
       body::text AS body
FROM invoices WHERE event_id = %(event_id)s AND number = %(number)s::text;

-- name: page of the invoices that match all conditions given, with the count of all; one row without body if none
WITH matching AS NOT MATERIALIZED (
    SELECT id, number, date FROM invoices
    -- an event has one organizer, so that is asked for only where its index is the better one
    WHERE (%(event_id)s::bigint IS NOT NULL AND %(order)s::text IS NULL AND %(refers)s::text IS NULL
           OR organizer_id = %(organizer_id)s)
      AND (%(event_id)s::bigint IS NULL OR event_id = %(event_id)s)
      AND (%(events)s::text[] IS NULL OR event_id IN (
               SELECT events.id FROM events
               WHERE events.organizer_id = %(organizer_id)s AND events.slug = ANY (%(events)s)))
      AND (%(order)s::text IS NULL OR order_code = upper(%(order)s))
      AND (%(number)s::text IS NULL OR number = %(number)s::text)
      AND (%(refers)s::text IS NULL OR refers = %(refers)s)
      AND (%(locale)s::text IS NULL OR locale = %(locale)s)
      AND (%(is_cancellation)s::boolean IS NULL OR is_cancellation = %(is_cancellation)s)
), page AS (
    SELECT sorted.id, row_number() OVER () AS place
    FROM (
        SELECT matching.id FROM matching
        ORDER BY CASE WHEN %(ordering)s = 'nr' THEN number END,
                 CASE WHEN %(ordering)s = '-nr' THEN number END DESC,
                 CASE WHEN %(ordering)s = 'date' THEN date END,
                 CASE WHEN %(ordering)s = '-date' THEN date END DESC,
                 CASE WHEN %(ordering)s = '-date' THEN id END DESC,
                 id
        LIMIT %(size)s OFFSET %(offset)s
    ) AS sorted
)
SELECT total.count, invoices.number, invoices.body::text AS body
FROM (SELECT count(*) AS count FROM matching) AS total
LEFT JOIN page ON true
LEFT JOIN invoices ON invoices.id = page.id
ORDER BY page.place;

-- name: file of an invoice of an event; no row if there is no such invoice
SELECT invoice_files.pdf FROM invoices JOIN invoice_files ON invoice_files.invoice_id = invoices.id
WHERE invoices.event_id = %(event_id)s AND invoices.number = %(number)s::text;

-- name: files_due some files that are to be drawn, longest due first; nobody else takes them for a while
WITH due AS (
    SELECT invoice_id FROM invoice_files
    WHERE pdf IS NULL AND due_at <= now()
    ORDER BY due_at, invoice_id LIMIT %(most)s
    FOR UPDATE SKIP LOCKED
)
UPDATE invoice_files
-- one minute, two, four and so on
SET tries = invoice_files.tries + 1,
    due_at = now() + least(interval '1 minute' * 2 ^ invoice_files.tries, interval '6 hours')
FROM due JOIN invoices ON invoices.id = due.invoice_id
WHERE invoice_files.invoice_id = due.invoice_id
RETURNING invoices.id, invoices.number, invoices.body::text AS body;

-- name: file_drawn keep a file, unless its invoice was rewritten meanwhile
UPDATE invoice_files SET pdf = %(pdf)s, error = NULL, due_at = 'infinity'
FROM invoices
WHERE invoice_files.invoice_id = %(id)s AND invoices.id = %(id)s AND invoices.body = %(body)s::jsonb;

-- name: file_failed could not be drawn, and why; the next try stands already
UPDATE invoice_files SET error = %(error)s WHERE invoice_id = %(id)s;

-- name: names what an event and the things in it are called, in all languages
SELECT events.body, organizers.name AS organizer,
    (SELECT coalesce(jsonb_object_agg(items.id, items.body -> 'name'), '{}') FROM items
     WHERE items.event_id = events.id AND items.id = ANY (%(items)s)) AS items,
    (SELECT coalesce(jsonb_object_agg(variations.id, variations.body -> 'value'), '{}') FROM variations
     WHERE variations.event_id = events.id AND variations.id = ANY (%(variations)s)) AS variations,
    (SELECT coalesce(jsonb_object_agg(tax_rules.id, tax_rules.body -> 'name'), '{}') FROM tax_rules
     WHERE tax_rules.event_id = events.id AND tax_rules.id = ANY (%(tax_rules)s)) AS tax_rules,
    (SELECT coalesce(jsonb_object_agg(subevents.id, subevents.body), '{}') FROM subevents
     WHERE subevents.event_id = events.id AND subevents.id = ANY (%(subevents)s)) AS subevents
FROM events JOIN organizers ON organizers.id = events.organizer_id
WHERE events.id = %(event_id)s;

-- name: watched events whose orders may have to be billed, or have been, and how far they have been looked at
SELECT events.id, events.slug, events.organizer_id, invoice_marks.seen_at, invoice_marks.seen_id
FROM invoice_marks JOIN events ON events.id = invoice_marks.event_id
WHERE EXISTS (SELECT FROM orders WHERE orders.event_id = events.id
                AND (orders.stored_at, orders.id) > (invoice_marks.seen_at, invoice_marks.seen_id));

-- name: watch the orders of an event from now on
INSERT INTO invoice_marks (event_id, seen_at)
-- what is being written at this moment is not to be missed
VALUES (%(event_id)s, now() - interval '1 minute')
ON CONFLICT ON CONSTRAINT invoice_marks_pkey DO NOTHING;

-- name: begin making invoices of an event without being asked, or making others than before
INSERT INTO invoice_marks (event_id, seen_at, since) VALUES (%(event_id)s, now() - interval '1 minute', %(since)s)
ON CONFLICT ON CONSTRAINT invoice_marks_pkey DO UPDATE SET since = excluded.since;

-- name: mark of an event, locked until the transaction ends
SELECT seen_at, seen_id, since FROM invoice_marks WHERE event_id = %(event_id)s FOR UPDATE;

-- name: since when invoices of an event have been made without being asked
SELECT since FROM invoice_marks WHERE event_id = %(event_id)s;

-- name: changed orders of an event after a mark, oldest first
SELECT id, stored_at, doc FROM orders
WHERE event_id = %(event_id)s AND (stored_at, id) > (%(seen_at)s, %(seen_id)s)
ORDER BY stored_at, id LIMIT %(most)s;

-- name: move the mark of an event, never back
UPDATE invoice_marks SET seen_at = %(seen_at)s, seen_id = %(seen_id)s
WHERE event_id = %(event_id)s AND (seen_at, seen_id) < (%(seen_at)s, %(seen_id)s);

-- name: order of an event by its code
SELECT doc FROM orders
WHERE organizer_id = %(organizer_id)s AND event_id = %(event_id)s AND code = %(code)s;
