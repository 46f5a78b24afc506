-- The drain sends the columns of orders as rows, in the binary form of these types, instead of having Postgres take them out
-- of documents; documents are kept as they came, instead of being taken apart and put together (docs/performance.md).

CREATE TYPE order_row AS (
    id               bigint,
    organizer_id     bigint,
    event_id         bigint,
    version          bigint,
    testmode         boolean,
    require_approval boolean,
    datetime         timestamptz,
    expires          timestamptz,
    last_modified    timestamptz,
    subevent_first   bigint,
    subevent_last    bigint,
    total            numeric(13, 2),
    code             text,
    status           text,
    email            text,
    words            text,
    long_words       text,
    search           text,
    long_search      text,
    secrets          text,
    doc              json
);

CREATE TYPE position_row AS (
    id                  bigint,
    order_id            bigint,
    event_id            bigint,
    item                bigint,
    ordered_at          timestamptz,
    positionid          integer,
    canceled            boolean,
    has_left            boolean,
    checked_in          boolean,
    price               numeric(13, 2),
    tax_value           numeric(13, 2),
    status              text,
    secret              text,
    pseudonymization_id text,
    words               text,
    long_words          text,
    search              text,
    long_search         text,
    variation           bigint,
    subevent            bigint,
    addon_to            bigint,
    voucher             bigint,
    voucher_budget_use  numeric(13, 2),
    attendee_name       text,
    seat_guid           text
);

CREATE TYPE payment_row AS (
    order_id bigint,
    local_id integer,
    amount   numeric(13, 2),
    state    text,
    provider text
);

ALTER TABLE orders ALTER COLUMN doc TYPE json;
