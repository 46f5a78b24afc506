-- Lists look for words and texts in one index of each table, instead of in many (docs/decisions/0004-lists-and-sync.md).
-- What is here already gets its words and texts once; whatever is written from now on has them from persistence/cards.py.

CREATE FUNCTION pg_temp.fold(text text) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT replace(lower(translate(translate(text, E'\x7f', ' '),
        'ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÐÑÒÓÔÕÖØÙÚÛÜÝÞĀĂĄĆĈĊČĎĐĒĔĖĘĚĜĞĠĢĤĦĨĪĬĮĲĴĶĹĻĽĿŁŃŅŇŊŌŎŐŒŔŖŘŚŜŞŠŢŤŦŨŪŬŮŰŲŴŶŸŹ'
        'ŻŽſΆΈΉΊΌΎΏΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩΪΫςЀЁЂЃЄЅІЇЈЉЊЋЌЍЎЏАБВГДЕЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯѠѢѤѦѨ'
        'ѪѬѮѰѲѴѶѸѺѼѾҀҊҌҎҐҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӁӃӅӇӉӋӍӐӒӔӖӘӚӜӞӠӢӤӦӨӪӬӮӰӲӴӶӸӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤ'
        'ԦԨԪԬԮ',
        'àáâãäåæçèéêëìíîïðñòóôõöøùúûüýþāăąćĉċčďđēĕėęěĝğġģĥħĩīĭįĳĵķĺļľŀłńņňŋōŏőœŕŗřśŝşšţťŧũūŭůűųŵŷÿź'
        'żžsάέήίόύώαβγδεζηθικλμνξοπρστυφχψωϊϋσѐёђѓєѕіїјљњћќѝўџабвгдежзийклмнопрстуфхцчшщъыьэюяѡѣѥѧѩ'
        'ѫѭѯѱѳѵѷѹѻѽѿҁҋҍҏґғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӂӄӆӈӊӌӎӑӓӕӗәӛӝӟӡӣӥӧөӫӭӯӱӳӵӷӹӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥ'
        'ԧԩԫԭԯ')), 'ß', 'ss')
$$;

DROP INDEX orders_datetime_idx, orders_status_idx, orders_modified_idx, orders_organizer_idx, orders_email_idx,
    orders_search_idx, orders_stored_idx;
DROP INDEX positions_ordered_idx, positions_item_idx, positions_subevent_idx, positions_attendee_idx;

ALTER TABLE positions
    ADD COLUMN checked_in boolean NOT NULL DEFAULT false,
    ADD COLUMN words text,
    ADD COLUMN long_words text,
    ADD COLUMN search text,
    ADD COLUMN long_search text;
ALTER TABLE orders
    ADD COLUMN words text,
    ADD COLUMN long_words text,
    ADD COLUMN long_search text,
    ADD COLUMN subevent_first bigint,
    ADD COLUMN subevent_last bigint;
ALTER TABLE orders ALTER COLUMN search DROP NOT NULL, ALTER COLUMN search DROP DEFAULT;

UPDATE positions
SET checked_in = EXISTS (SELECT FROM checkins WHERE checkins.position_id = positions.id),
    words = E'\x7f' || concat_ws(E'\x7f',
        't' || lower(orders.code), 'c' || CASE WHEN length(orders.doc ->> 'customer') <= 64 THEN orders.doc ->> 'customer'
            ELSE left(orders.doc ->> 'customer', 32) || md5(orders.doc ->> 'customer') END,
        'n' || own.name, 'n' || base.name, 't' || pg_temp.fold(positions.secret),
        't' || pg_temp.fold(positions.pseudonymization_id)) || E'\x7f',
    search = pg_temp.fold(concat_ws(E'\n',
        orders.doc ->> 'email', payer.company, payer.parts ->> '_legacy', payer.parts ->> 'full_name',
        nullif(concat_ws(' ', payer.parts ->> 'title', payer.parts ->> 'given_name', payer.parts ->> 'middle_name',
                         payer.parts ->> 'family_name'), ''),
        (payer.parts ->> 'given_name') || ' ' || (payer.parts ->> 'family_name'), people.texts))
FROM positions AS same JOIN orders ON orders.id = same.order_id,
     LATERAL (SELECT orders.doc -> 'invoice_address' ->> 'company', orders.doc -> 'invoice_address' -> 'name_parts')
         AS payer (company, parts),
     LATERAL (
         SELECT string_agg(concat_ws(E'\n', p ->> 'attendee_name', p ->> 'attendee_email'), E'\n') AS texts,
                max(p ->> 'attendee_name') FILTER (WHERE (p ->> 'id')::bigint = same.addon_to) AS base_name
         FROM jsonb_array_elements(orders.doc -> 'positions') AS p
         WHERE (p ->> 'id')::bigint IN (same.id, same.addon_to)
     ) AS people,
     LATERAL (SELECT pg_temp.fold(same.attendee_name)) AS own_folded (name),
     LATERAL (SELECT pg_temp.fold(people.base_name)) AS base_folded (name),
     LATERAL (SELECT CASE WHEN length(own_folded.name) <= 64 THEN own_folded.name
                          ELSE left(own_folded.name, 32) || md5(own_folded.name) END) AS own (name),
     LATERAL (SELECT CASE WHEN length(base_folded.name) <= 64 THEN base_folded.name
                          ELSE left(base_folded.name, 32) || md5(base_folded.name) END) AS base (name)
WHERE same.id = positions.id;

UPDATE positions
SET words = CASE WHEN octet_length(words) <= 1000 THEN words END,
    long_words = CASE WHEN octet_length(words) > 1000 THEN words END,
    search = CASE WHEN octet_length(search) <= 1200 THEN search END,
    long_search = CASE WHEN octet_length(search) > 1200 THEN search END
WHERE octet_length(words) > 1000 OR octet_length(search) > 1200;

UPDATE orders
SET email = pg_temp.fold(orders.email),
    words = E'\x7f' || concat_ws(E'\x7f', array_to_string(array_remove(orders.facets, '*'), E'\x7f'),
                                 contents.products, contents.providers, contents.secrets) || E'\x7f',
    search = pg_temp.fold(split_part(orders.search, E'\f', 1)),
    subevent_first = contents.first, subevent_last = contents.last
FROM orders AS same,
     LATERAL (
         SELECT min(p.subevent) AS first, max(p.subevent) AS last,
                -- what was too much for the facets
                string_agg(DISTINCT concat_ws(E'\x7f', 'i' || p.item, 'v' || p.variation, 's' || p.subevent), E'\x7f')
                    FILTER (WHERE same.facets @> ARRAY['*']) AS products,
                (SELECT string_agg('p' || provider, E'\x7f') FROM payments
                 WHERE payments.order_id = same.id AND same.facets @> ARRAY['*']) AS providers,
                string_agg('t' || pg_temp.fold(p.secret), E'\x7f') FILTER (WHERE NOT p.canceled) AS secrets
         FROM positions AS p WHERE p.order_id = same.id
     ) AS contents
WHERE same.id = orders.id;

UPDATE orders
SET words = CASE WHEN octet_length(words) <= 1000 THEN words END,
    long_words = CASE WHEN octet_length(words) > 1000 THEN words END,
    search = CASE WHEN octet_length(search) <= 1200 THEN search END,
    long_search = CASE WHEN octet_length(search) > 1200 THEN search END
WHERE octet_length(words) > 1000 OR octet_length(search) > 1200;

ALTER TABLE orders DROP COLUMN facets;

CREATE INDEX orders_datetime_idx ON orders (event_id, datetime, id)
    INCLUDE (status, testmode, require_approval, code, last_modified, stored_at, subevent_first, subevent_last, words, search);
CREATE INDEX orders_stored_idx ON orders (event_id, stored_at, id) INCLUDE (testmode, require_approval, status, last_modified);
CREATE INDEX orders_email_idx ON orders (organizer_id, email, event_id, datetime, id) WHERE email IS NOT NULL;
CREATE INDEX positions_ordered_idx ON positions (event_id, ordered_at, positionid, id)
    INCLUDE (canceled, status, item, variation, subevent, voucher, addon_to, checked_in, words, search);
