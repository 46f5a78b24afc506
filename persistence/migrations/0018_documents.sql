-- Payments, fees and refunds are read from documents, where they stand anyway: only sums over them are ever asked for, and
-- their tables cost each order a tenth of its writing. So are the ids of an order's positions, instead of from an index.
-- Documents are text: the drain has read them as JSON, and needs nobody to do so again. An index of unique values looks for
-- equal ones in vain. (docs/performance.md)

DROP TABLE payments, fees, refunds;
DROP TYPE order_row, position_row, payment_row;

-- what many orders have in common stands first: it is made once (persistence/rows.py)
CREATE TYPE order_row AS (
    organizer_id     bigint,
    event_id         bigint,
    version          bigint,
    testmode         boolean,
    require_approval boolean,
    expires          timestamptz,
    total            numeric(13, 2),
    status           text,
    subevent_first   bigint,
    subevent_last    bigint,
    words            text,
    long_words       text,
    id               bigint,
    datetime         timestamptz,
    last_modified    timestamptz,
    code             text,
    email            text,
    search           text,
    long_search      text,
    secrets          text,
    doc              text
);

CREATE TYPE position_row AS (
    event_id            bigint,
    positionid          integer,
    item                bigint,
    variation           bigint,
    subevent            bigint,
    price               numeric(13, 2),
    tax_value           numeric(13, 2),
    status              text,
    canceled            boolean,
    has_left            boolean,
    checked_in          boolean,
    id                  bigint,
    order_id            bigint,
    ordered_at          timestamptz,
    secret              text,
    pseudonymization_id text,
    words               text,
    long_words          text,
    search              text,
    long_search         text,
    addon_to            bigint,
    voucher             bigint,
    voucher_budget_use  numeric(13, 2),
    attendee_name       text,
    seat_guid           text
);

-- each statement parses such rules anew: they stand where documents are read (persistence/parts.py)
ALTER TABLE orders DROP CONSTRAINT orders_status_check, DROP CONSTRAINT orders_version_check;

DROP INDEX orders_email_idx;
ALTER TABLE orders ALTER COLUMN doc TYPE text;
CREATE INDEX orders_email_idx ON orders (organizer_id, email) INCLUDE (event_id, datetime, id) WHERE email IS NOT NULL;

ALTER TABLE positions DROP CONSTRAINT positions_positionid_key;
-- room for the entry of the next version: making it in a full page costs a tenth of a change
ALTER INDEX orders_pkey SET (fillfactor = 50);
ALTER INDEX positions_pkey SET (fillfactor = 50);
ALTER INDEX positions_secret_idx SET (deduplicate_items = off);

-- only equal ones are looked up; a smaller index, of which fewer pages are touched
DROP INDEX positions_pseudonym_idx;
CREATE INDEX positions_pseudonym_idx ON positions USING hash (pseudonymization_id);

CREATE VIEW ids_of_positions AS
SELECT orders.id AS order_id, (one ->> 'id')::bigint AS id
FROM orders, json_array_elements(orders.doc::json -> 'positions') AS one;

CREATE VIEW payments AS
SELECT orders.id AS order_id, (one ->> 'local_id')::integer AS local_id, one ->> 'state' AS state,
       one ->> 'provider' AS provider, (one ->> 'amount')::numeric(13, 2) AS amount
FROM orders, json_array_elements(orders.doc::json -> 'payments') AS one;

CREATE VIEW fees AS
SELECT (one ->> 'id')::bigint AS id, orders.id AS order_id, one ->> 'fee_type' AS fee_type,
       (one ->> 'value')::numeric(13, 2) AS value, (one ->> 'tax_value')::numeric(13, 2) AS tax_value,
       coalesce((one ->> 'canceled')::boolean, false) AS canceled
FROM orders, json_array_elements(orders.doc::json -> 'fees') AS one;

CREATE VIEW refunds AS
SELECT orders.id AS order_id, (one ->> 'local_id')::integer AS local_id, one ->> 'state' AS state,
       one ->> 'source' AS source, one ->> 'provider' AS provider, (one ->> 'payment')::integer AS payment,
       (one ->> 'amount')::numeric(13, 2) AS amount
FROM orders, json_array_elements(orders.doc::json -> 'refunds') AS one;
