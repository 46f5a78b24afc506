-- Makes many orders of one position each out of one that is there, older than it by a second each.
CREATE TEMPORARY TABLE template ON COMMIT PRESERVE ROWS AS
SELECT orders FROM orders WHERE code = :'code' ORDER BY id DESC LIMIT 1;

INSERT INTO orders
SELECT copy.*
FROM template, generate_series(:first::bigint, :last::bigint) AS n,
     LATERAL (SELECT ((template.orders).datetime - n * interval '1 second') AS moment, 'Z' || n AS code) AS own,
     LATERAL jsonb_populate_record(template.orders, jsonb_build_object(
         'id', (template.orders).id + 1000000000 + n, 'code', own.code, 'datetime', own.moment,
         'last_modified', own.moment, 'stored_at', own.moment, 'expires', (template.orders).expires + interval '30 days',
         'search', replace((template.orders).search, lower((template.orders).code), lower(own.code)),
         'doc', (template.orders).doc::jsonb || jsonb_build_object(
             'id', (template.orders).id + 1000000000 + n, 'code', own.code, 'secret', md5('o' || n)))) AS copy;

INSERT INTO positions
SELECT copy.*
FROM template JOIN positions ON positions.order_id = (template.orders).id, generate_series(:first::bigint, :last::bigint) AS n,
     LATERAL jsonb_populate_record(positions, jsonb_build_object(
         'id', positions.id + 1000000000 + n, 'order_id', (template.orders).id + 1000000000 + n,
         'secret', md5('p' || n), 'pseudonymization_id', 'Z' || n,
         'ordered_at', positions.ordered_at - n * interval '1 second')) AS copy;

VACUUM (ANALYZE) orders, positions;
CHECKPOINT;
