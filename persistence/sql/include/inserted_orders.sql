    INSERT INTO orders (id, organizer_id, event_id, version, code, status, testmode, require_approval, email, total,
                        datetime, expires, last_modified, doc, stored_at, words, long_words,
                        search, long_search, secrets, subevent_first, subevent_last)
    SELECT id, organizer_id, event_id, version, code, status, testmode, require_approval, email, total,
           datetime, expires, last_modified, doc,
           -- the clock is read after the lock on the table is taken, as sql/horizon.sql needs it
           greatest(clock_timestamp(), last_modified), words, long_words,
           search, long_search, secrets, subevent_first, subevent_last
    FROM unnest(%(orders)s::order_row[])
