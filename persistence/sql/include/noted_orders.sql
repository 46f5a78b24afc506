    -- for webhooks, and nothing where nobody listens: the version before, those in between, and this one
    INSERT INTO order_changes (order_id, organizer_id, event_id, split, versions)
    SELECT incoming.id, incoming.organizer_id, incoming.event_id, incoming.id = ANY (%(split)s::bigint[]),
           jsonb_build_array(before.doc)
               || (SELECT coalesce(jsonb_agg(e ORDER BY (e ->> 'version')::bigint), '[]')
                   FROM jsonb_array_elements(%(earlier)s::jsonb) AS e WHERE (e ->> 'id')::bigint = incoming.id)
               || jsonb_build_array(incoming.doc)
    FROM unnest(%(orders)s::order_row[]) AS incoming
         LEFT JOIN LATERAL (SELECT doc, version FROM orders WHERE id = incoming.id OFFSET 0) AS before ON true
    WHERE EXISTS (SELECT FROM webhooks WHERE enabled)
      AND incoming.organizer_id IN (SELECT organizer_id FROM webhooks WHERE enabled)
      AND coalesce(before.version, 0) < incoming.version
      -- of what came from another server that has told
      AND coalesce((incoming.doc ->> 'imported')::bigint, 0) < incoming.version
