-- name: bump counts one more change to an event, and locks it until the transaction ends
UPDATE events SET version = version + 1 WHERE id = %(id)s RETURNING version;

-- name: pass_version goes past a version that was live without having been committed
UPDATE events SET version = %(live)s + 1 WHERE id = %(id)s AND version < %(live)s;

-- name: whole one event with everything below it in one row, and so of one moment
SELECT e.id, e.organizer_id, o.slug AS organizer, e.slug, e.version, e.body, e.settings, e.seats_version,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(i.id, i.body) ORDER BY i.id), '[]')
     FROM items i WHERE i.event_id = e.id) AS items,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(v.id, v.item_id, v.body) ORDER BY v.id), '[]')
     FROM variations v WHERE v.event_id = e.id) AS variations,
    (SELECT coalesce(jsonb_agg(c.id), '[]') FROM categories c
     WHERE c.event_id = e.id AND (c.body ->> 'is_addon')::boolean) AS addon_categories,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(l.item_id, l.body -> 'addon_category', l.body -> 'price_included')),
     '[]') FROM item_links l
     WHERE l.event_id = e.id AND l.kind = 'addon') AS addons,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(l.item_id, l.body -> 'bundled_item', l.body -> 'bundled_variation')),
     '[]') FROM item_links l WHERE l.event_id = e.id AND l.kind = 'bundle') AS bundles,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(t.id, t.body) ORDER BY t.id), '[]')
     FROM tax_rules t WHERE t.event_id = e.id) AS tax_rules,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(q.id, q.body) ORDER BY q.id), '[]')
     FROM questions q WHERE q.event_id = e.id) AS questions,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(p.id, p.question_id, p.body) ORDER BY p.id), '[]')
     FROM question_options p WHERE p.event_id = e.id) AS options,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(s.id, s.body) ORDER BY s.id), '[]')
     FROM subevents s WHERE s.event_id = e.id) AS subevents,
    (SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY k.id), '[]')
     FROM quotas k WHERE k.event_id = e.id) AS quotas,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(r.id, r.body) ORDER BY r.id), '[]')
     FROM vouchers r WHERE r.event_id = e.id AND (r.body ->> 'block_quota')::boolean) AS reserving,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(w.item, w.variation, w.subevent, w.entries)), '[]')
     FROM (SELECT item, variation, subevent, count(*) AS entries FROM waiting_entries
           WHERE event_id = e.id AND body ->> 'voucher' IS NULL GROUP BY 1, 2, 3) AS w) AS waiting
FROM events e JOIN organizers o ON o.id = e.organizer_id
WHERE (e.id = %(id)s::bigint OR (e.organizer_id = %(organizer_id)s::bigint AND e.slug = %(slug)s::text));

-- name: since what has changed of one event after a version, and what of that is still there; no row if it is older
WITH changed AS MATERIALIZED (
    SELECT kind, id FROM catalogue_changes WHERE event_id = %(id)s AND version > %(after)s
)
SELECT e.id, e.organizer_id, o.slug AS organizer, e.slug, e.version, e.body, e.settings, e.seats_version,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(kind, id)), '[]') FROM changed) AS changed,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(i.id, i.body) ORDER BY i.id), '[]')
     FROM changed JOIN items i ON i.id = changed.id WHERE changed.kind = 'item') AS items,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(v.id, v.item_id, v.body) ORDER BY v.id), '[]')
     FROM changed JOIN variations v ON v.event_id = e.id AND v.item_id = changed.id
     WHERE changed.kind = 'item') AS variations,
    (SELECT coalesce(jsonb_agg(c.id), '[]') FROM categories c
     WHERE c.event_id = e.id AND (c.body ->> 'is_addon')::boolean) AS addon_categories,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(l.item_id, l.body -> 'addon_category', l.body -> 'price_included')),
     '[]') FROM changed JOIN item_links l ON l.event_id = e.id AND l.item_id = changed.id
     WHERE changed.kind = 'item' AND l.kind = 'addon') AS addons,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(l.item_id, l.body -> 'bundled_item', l.body -> 'bundled_variation')),
     '[]') FROM changed JOIN item_links l ON l.event_id = e.id AND l.item_id = changed.id
     WHERE changed.kind = 'item' AND l.kind = 'bundle') AS bundles,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(t.id, t.body) ORDER BY t.id), '[]')
     FROM changed JOIN tax_rules t ON t.id = changed.id WHERE changed.kind = 'tax_rule') AS tax_rules,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(q.id, q.body) ORDER BY q.id), '[]')
     FROM changed JOIN questions q ON q.id = changed.id WHERE changed.kind = 'question') AS questions,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(p.id, p.question_id, p.body) ORDER BY p.id), '[]')
     FROM changed JOIN question_options p ON p.event_id = e.id AND p.question_id = changed.id
     WHERE changed.kind = 'question') AS options,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(s.id, s.body) ORDER BY s.id), '[]')
     FROM changed JOIN subevents s ON s.id = changed.id WHERE changed.kind = 'subevent') AS subevents,
    (SELECT coalesce(jsonb_agg(to_jsonb(k) ORDER BY k.id), '[]')
     FROM changed JOIN quotas k ON k.id = changed.id WHERE changed.kind = 'quota') AS quotas,
    (SELECT coalesce(jsonb_agg(jsonb_build_array(r.id, r.body) ORDER BY r.id), '[]')
     FROM changed JOIN vouchers r ON r.id = changed.id
     WHERE changed.kind = 'voucher' AND (r.body ->> 'block_quota')::boolean) AS reserving,
    CASE WHEN EXISTS (SELECT FROM changed WHERE changed.kind = 'waiting') THEN
        (SELECT coalesce(jsonb_agg(jsonb_build_array(w.item, w.variation, w.subevent, w.entries)), '[]')
         FROM (SELECT item, variation, subevent, count(*) AS entries FROM waiting_entries
               WHERE event_id = e.id AND body ->> 'voucher' IS NULL GROUP BY 1, 2, 3) AS w)
    END AS waiting
FROM events e JOIN organizers o ON o.id = e.organizer_id
WHERE e.id = %(id)s AND e.version >= %(after)s;

-- name: add an event; no row if the slug is taken
INSERT INTO events (organizer_id, slug, body, settings)
VALUES (%(organizer_id)s, %(slug)s, %(body)s, %(settings)s)
ON CONFLICT ON CONSTRAINT events_slug_key DO NOTHING
RETURNING id;

-- name: all of an organizer
SELECT id, slug, body, settings FROM events WHERE organizer_id = %(organizer_id)s ORDER BY slug;

-- name: one by its id
SELECT id, slug, body, settings FROM events WHERE id = %(id)s;

-- name: replace its content
UPDATE events SET body = %(body)s, settings = %(settings)s WHERE id = %(id)s;
