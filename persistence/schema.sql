-- The whole database as it is now. Read this; migrations/ says how to get here, and a test holds the two together.
-- Money is numeric, times are timestamptz in UTC, what only travels is jsonb. Constraints are named because errors are
-- recognised by their names.

-- finds parts of texts by index; comes with every Postgres, and its owner may create it in his own database
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- ---------------------------------------------------------------------------------------------------- who may ask

CREATE TABLE organizers (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    slug        text NOT NULL,
    name        text NOT NULL,
    CONSTRAINT organizers_pkey PRIMARY KEY (id),
    CONSTRAINT organizers_slug_key UNIQUE (slug)
);

CREATE TABLE teams (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    organizer_id bigint NOT NULL,
    name         text NOT NULL,
    all_events   boolean NOT NULL,
    limit_events text[] NOT NULL,
    permissions  text[] NOT NULL,
    body         jsonb NOT NULL,
    CONSTRAINT teams_pkey PRIMARY KEY (id),
    CONSTRAINT teams_organizer_fkey FOREIGN KEY (organizer_id) REFERENCES organizers (id)
);
CREATE INDEX teams_organizer_idx ON teams (organizer_id, id);

-- A token is kept as its SHA-256 only; it has 64 random characters, so no salt is needed.
CREATE TABLE api_tokens (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    team_id    bigint NOT NULL,
    name       text NOT NULL,
    active     boolean NOT NULL DEFAULT true,
    token_hash bytea NOT NULL,
    created    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT api_tokens_pkey PRIMARY KEY (id),
    CONSTRAINT api_tokens_hash_key UNIQUE (token_hash),
    CONSTRAINT api_tokens_team_fkey FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE
);
CREATE INDEX api_tokens_team_idx ON api_tokens (team_id, id);

-- ------------------------------------------------------------------------------------------------- what is on sale
-- Each resource keeps what clients sent as `body`, so that no field is dropped, and has columns for what rules need.
-- events.version counts every change to anything below it; front doors cache by it and scripts refuse an older one.

CREATE TABLE events (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    organizer_id  bigint NOT NULL,
    slug          text NOT NULL,
    version       bigint NOT NULL DEFAULT 1,
    body          jsonb NOT NULL,
    settings      jsonb NOT NULL DEFAULT '{}',
    seats_version bigint NOT NULL DEFAULT 0,
    CONSTRAINT events_pkey PRIMARY KEY (id),
    CONSTRAINT events_slug_key UNIQUE (organizer_id, slug),
    CONSTRAINT events_organizer_fkey FOREIGN KEY (organizer_id) REFERENCES organizers (id)
);

CREATE TABLE categories (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT categories_pkey PRIMARY KEY (id),
    CONSTRAINT categories_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX categories_event_idx ON categories (event_id, id);

CREATE TABLE tax_rules (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT tax_rules_pkey PRIMARY KEY (id),
    CONSTRAINT tax_rules_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX tax_rules_event_idx ON tax_rules (event_id, id);

CREATE TABLE items (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT items_pkey PRIMARY KEY (id),
    CONSTRAINT items_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX items_event_idx ON items (event_id, id);

CREATE TABLE variations (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    item_id  bigint NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT variations_pkey PRIMARY KEY (id),
    CONSTRAINT variations_event_fkey FOREIGN KEY (event_id) REFERENCES events (id),
    CONSTRAINT variations_item_fkey FOREIGN KEY (item_id) REFERENCES items (id) ON DELETE CASCADE
);
CREATE INDEX variations_event_idx ON variations (event_id, item_id, id);

-- kind is 'addon' or 'bundle': what may be sold along with an item
CREATE TABLE item_links (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    item_id  bigint NOT NULL,
    kind     text NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT item_links_pkey PRIMARY KEY (id),
    CONSTRAINT item_links_kind_check CHECK (kind IN ('addon', 'bundle')),
    CONSTRAINT item_links_item_fkey FOREIGN KEY (item_id) REFERENCES items (id) ON DELETE CASCADE
);
CREATE INDEX item_links_item_idx ON item_links (event_id, item_id, kind, id);

CREATE TABLE questions (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    event_id   bigint NOT NULL,
    identifier text NOT NULL,
    body       jsonb NOT NULL,
    CONSTRAINT questions_pkey PRIMARY KEY (id),
    CONSTRAINT questions_identifier_key UNIQUE (event_id, identifier),
    CONSTRAINT questions_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX questions_event_idx ON questions (event_id, id);

CREATE TABLE question_options (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    event_id    bigint NOT NULL,
    question_id bigint NOT NULL,
    identifier  text NOT NULL,
    body        jsonb NOT NULL,
    CONSTRAINT question_options_pkey PRIMARY KEY (id),
    CONSTRAINT question_options_identifier_key UNIQUE (question_id, identifier),
    CONSTRAINT question_options_question_fkey FOREIGN KEY (question_id) REFERENCES questions (id) ON DELETE CASCADE
);
CREATE INDEX question_options_event_idx ON question_options (event_id, question_id, id);

CREATE TABLE subevents (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT subevents_pkey PRIMARY KEY (id),
    CONSTRAINT subevents_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX subevents_event_idx ON subevents (event_id, id);

CREATE TABLE seating_plans (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    organizer_id bigint NOT NULL,
    body         jsonb NOT NULL,
    CONSTRAINT seating_plans_pkey PRIMARY KEY (id),
    CONSTRAINT seating_plans_organizer_fkey FOREIGN KEY (organizer_id) REFERENCES organizers (id)
);
CREATE INDEX seating_plans_organizer_idx ON seating_plans (organizer_id, id);

-- The seats that an event, or one date of a series, got from its plan. version is the event version at which a seat was
-- last changed, events.seats_version that at which any was made, changed or removed. Redis alone knows who has a seat.
CREATE TABLE seats (
    id          bigint GENERATED ALWAYS AS IDENTITY,
    event_id    bigint NOT NULL,
    subevent_id bigint,
    guid        text NOT NULL,
    name        text NOT NULL,
    zone_name   text NOT NULL,
    row_name    text NOT NULL,
    row_label   text,
    seat_number text NOT NULL,
    seat_label  text,
    rank        bigint NOT NULL,
    product     bigint,
    blocked     boolean NOT NULL DEFAULT false,
    version     bigint NOT NULL,
    CONSTRAINT seats_pkey PRIMARY KEY (id),
    CONSTRAINT seats_event_fkey FOREIGN KEY (event_id) REFERENCES events (id),
    CONSTRAINT seats_subevent_fkey FOREIGN KEY (subevent_id) REFERENCES subevents (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX seats_guid_key ON seats (event_id, coalesce(subevent_id, 0), guid);
CREATE INDEX seats_rank_idx ON seats (event_id, subevent_id, rank, id);
CREATE INDEX seats_version_idx ON seats (event_id, version);

-- size null is unlimited. closed_version is the event version at which a client last set `closed`: a quota that closed
-- itself by selling out (known first to Redis) is never overwritten by an older word from here, nor the other way.
-- allowance is how many units beyond the size somebody has allowed, by force or by making the quota smaller: what the
-- audit takes for oversold is anything more.
CREATE TABLE quotas (
    id                  bigint GENERATED ALWAYS AS IDENTITY,
    event_id            bigint NOT NULL,
    name                text NOT NULL,
    size                bigint,
    items               bigint[] NOT NULL,
    variations          bigint[] NOT NULL,
    subevent_id         bigint,
    close_when_sold_out boolean NOT NULL,
    closed              boolean NOT NULL,
    closed_version      bigint NOT NULL,
    release_after_exit  boolean NOT NULL,
    extra               jsonb NOT NULL DEFAULT '{}',
    allowance           bigint NOT NULL DEFAULT 0,
    CONSTRAINT quotas_pkey PRIMARY KEY (id),
    CONSTRAINT quotas_size_check CHECK (size >= 0),
    CONSTRAINT quotas_event_fkey FOREIGN KEY (event_id) REFERENCES events (id),
    CONSTRAINT quotas_subevent_fkey FOREIGN KEY (subevent_id) REFERENCES subevents (id)
);
CREATE INDEX quotas_event_idx ON quotas (event_id, id);

-- code_key is the code without regard to case. How often a voucher was used is counted by Redis and from positions.
CREATE TABLE vouchers (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    code_key text NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT vouchers_pkey PRIMARY KEY (id),
    CONSTRAINT vouchers_code_key UNIQUE (event_id, code_key),
    CONSTRAINT vouchers_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX vouchers_event_idx ON vouchers (event_id, id);
CREATE INDEX vouchers_reserving_idx ON vouchers (event_id) WHERE (body ->> 'block_quota')::boolean;
CREATE INDEX vouchers_seat_idx ON vouchers (event_id, (body ->> 'seat')) WHERE body ->> 'seat' IS NOT NULL;

-- the columns repeat what availability counts by
CREATE TABLE waiting_entries (
    id        bigint GENERATED ALWAYS AS IDENTITY,
    event_id  bigint NOT NULL,
    item      bigint NOT NULL,
    variation bigint,
    subevent  bigint,
    body      jsonb NOT NULL,
    CONSTRAINT waiting_entries_pkey PRIMARY KEY (id),
    CONSTRAINT waiting_entries_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX waiting_entries_event_idx ON waiting_entries (event_id, id);

-- What has changed of an event, by the version from which on everybody has read it: front doors that know an older one
-- read only that. Triggers write it, so that no change can forget to. Id 0 stands for all of a kind.
CREATE TABLE catalogue_changes (
    event_id bigint NOT NULL,
    kind     text NOT NULL,
    id       bigint NOT NULL,
    version  bigint NOT NULL,
    CONSTRAINT catalogue_changes_pkey PRIMARY KEY (event_id, kind, id),
    CONSTRAINT catalogue_changes_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX catalogue_changes_version_idx ON catalogue_changes (event_id, version);

-- Notes a kind of thing, and the column with its id. The version is the one after the change's own: who has read the
-- event in the middle of the change, or before a change that counted none, reads it again.
CREATE FUNCTION note_catalogue_change() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed jsonb := CASE TG_OP WHEN 'DELETE' THEN to_jsonb(OLD) ELSE to_jsonb(NEW) END;
BEGIN
    INSERT INTO catalogue_changes (event_id, kind, id, version)
    SELECT e.id, TG_ARGV[0], coalesce((changed ->> TG_ARGV[1])::bigint, 0), e.version + 1
    FROM events e WHERE e.id = (changed ->> 'event_id')::bigint
    ON CONFLICT ON CONSTRAINT catalogue_changes_pkey DO UPDATE SET version = excluded.version
    WHERE catalogue_changes.version < excluded.version;
    RETURN NULL;
END
$$;

CREATE TRIGGER items_noted AFTER INSERT OR UPDATE OR DELETE ON items
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('item', 'id');
CREATE TRIGGER variations_noted AFTER INSERT OR UPDATE OR DELETE ON variations
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('item', 'item_id');
CREATE TRIGGER item_links_noted AFTER INSERT OR UPDATE OR DELETE ON item_links
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('item', 'item_id');
CREATE TRIGGER tax_rules_noted AFTER INSERT OR UPDATE OR DELETE ON tax_rules
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('tax_rule', 'id');
CREATE TRIGGER questions_noted AFTER INSERT OR UPDATE OR DELETE ON questions
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('question', 'id');
CREATE TRIGGER question_options_noted AFTER INSERT OR UPDATE OR DELETE ON question_options
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('question', 'question_id');
CREATE TRIGGER subevents_noted AFTER INSERT OR UPDATE OR DELETE ON subevents
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('subevent', 'id');
CREATE TRIGGER quotas_noted AFTER INSERT OR UPDATE OR DELETE ON quotas
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('quota', 'id');
CREATE TRIGGER waiting_entries_noted AFTER INSERT OR UPDATE OR DELETE ON waiting_entries
    FOR EACH ROW EXECUTE FUNCTION note_catalogue_change('waiting');
-- of vouchers everybody knows only those that keep units free
CREATE TRIGGER vouchers_added_noted AFTER INSERT ON vouchers
    FOR EACH ROW WHEN ((NEW.body ->> 'block_quota')::boolean)
    EXECUTE FUNCTION note_catalogue_change('voucher', 'id');
CREATE TRIGGER vouchers_changed_noted AFTER UPDATE ON vouchers
    FOR EACH ROW WHEN ((OLD.body ->> 'block_quota')::boolean OR (NEW.body ->> 'block_quota')::boolean)
    EXECUTE FUNCTION note_catalogue_change('voucher', 'id');
CREATE TRIGGER vouchers_removed_noted AFTER DELETE ON vouchers
    FOR EACH ROW WHEN ((OLD.body ->> 'block_quota')::boolean)
    EXECUTE FUNCTION note_catalogue_change('voucher', 'id');

CREATE TABLE checkin_lists (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    body     jsonb NOT NULL,
    CONSTRAINT checkin_lists_pkey PRIMARY KEY (id),
    CONSTRAINT checkin_lists_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE INDEX checkin_lists_event_idx ON checkin_lists (event_id, id);

-- ------------------------------------------------------------------------------------------------- what was sold
-- orders.doc is the order whole, as engine.domain.order.Order encodes it: what reads answer from and what Redis is
-- filled from. It is text that the drain has read as JSON: Postgres keeps it as it came, and hardly ever looks into it. The
-- columns and the tables below repeat what filters, sums and constraints need; one statement writes them all
-- (sql/orders.sql), so they cannot part. stored_at is when this version was written here, by the clock of this
-- server: what clients fetch differences by. words and search are what lists look for, folded (persistence/cards.py); where
-- they are more than an index takes, they are in long_words and long_search instead. secrets are the first signs of those of its
-- tickets, and null where they are too many for the index. email is folded, too. subevent_first and subevent_last are the lowest and highest id among an order's dates; only those between them are among its words.
-- positions repeat what lists need of their order, but nothing that changes while they do not.
-- (docs/decisions/0004-lists-and-sync.md)

CREATE TABLE orders (
    id               bigint NOT NULL,
    organizer_id     bigint NOT NULL,
    event_id         bigint NOT NULL,
    version          bigint NOT NULL,
    code             text NOT NULL,
    status           text NOT NULL,
    testmode         boolean NOT NULL,
    require_approval boolean NOT NULL,
    email            text,
    total            numeric(13, 2) NOT NULL,
    datetime         timestamptz NOT NULL,
    expires          timestamptz NOT NULL,
    last_modified    timestamptz NOT NULL,
    doc              text NOT NULL,
    stored_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    words            text,
    long_words       text,
    search           text,
    long_search      text,
    subevent_first   bigint,
    subevent_last    bigint,
    secrets          text,
    -- status is for lists of positions; room for the entry of the next version: making it in a full page costs a tenth of a change
    CONSTRAINT orders_pkey PRIMARY KEY (id) INCLUDE (status) WITH (fillfactor = 50),
    -- what status and version may be is seen to where documents are read (parts.py): each statement would parse it anew
    CONSTRAINT orders_code_key UNIQUE (organizer_id, code) INCLUDE (event_id)
);
-- for lists: whatever is filtered, searched and sorted; what changed; of one person
CREATE INDEX orders_datetime_idx ON orders (event_id, datetime, id)
    INCLUDE (last_modified, stored_at, subevent_first, subevent_last, testmode, require_approval, status, code, words, search,
             secrets);
CREATE INDEX orders_stored_idx ON orders (event_id, stored_at, id) INCLUDE (testmode, require_approval, status, last_modified);
CREATE INDEX orders_email_idx ON orders (organizer_id, email) INCLUDE (event_id, datetime, id) WHERE email IS NOT NULL;
CREATE INDEX orders_expires_idx ON orders (expires) WHERE status = 'n' AND NOT require_approval;

CREATE TABLE positions (
    id                  bigint NOT NULL,
    order_id            bigint NOT NULL,
    event_id            bigint NOT NULL,
    positionid          integer NOT NULL,
    item                bigint NOT NULL,
    variation           bigint,
    subevent            bigint,
    price               numeric(13, 2) NOT NULL,
    tax_value           numeric(13, 2) NOT NULL,
    canceled            boolean NOT NULL,
    secret              text NOT NULL,
    attendee_name       text,
    addon_to            bigint,
    voucher             bigint,
    voucher_budget_use  numeric(13, 2),
    pseudonymization_id text NOT NULL,
    has_left            boolean NOT NULL DEFAULT false,
    ordered_at          timestamptz NOT NULL DEFAULT now(),
    seat_guid           text,
    checked_in          boolean NOT NULL DEFAULT false,
    words               text,
    long_words          text,
    search              text,
    long_search         text,
    CONSTRAINT positions_pkey PRIMARY KEY (id) WITH (fillfactor = 50)
);
-- for lists: whatever is filtered and searched; by ticket and what a position belongs to
CREATE INDEX positions_ordered_idx ON positions (event_id, ordered_at, positionid, id)
    INCLUDE (order_id, item, variation, subevent, voucher, addon_to, canceled, checked_in, words, search);
-- unique values: looking for equal ones is in vain
CREATE INDEX positions_secret_idx ON positions (event_id, lower(secret) text_pattern_ops) WITH (deduplicate_items = off);
-- only equal ones are looked up; a smaller index, of which fewer pages are touched
CREATE INDEX positions_pseudonym_idx ON positions USING hash (pseudonymization_id);
CREATE INDEX positions_addon_idx ON positions (addon_to) WHERE addon_to IS NOT NULL;
CREATE INDEX positions_voucher_idx ON positions (voucher) WHERE voucher IS NOT NULL;

-- What the drain sends of orders, in Postgres' binary form and in this order of columns: what many orders have in common stands
-- first (persistence/rows.py).
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

-- Every ticket secret that is or ever was blocked; one that was replaced stays as it was.
CREATE TABLE blocked_secrets (
    id        bigint GENERATED ALWAYS AS IDENTITY,
    event_id  bigint NOT NULL,
    order_id  bigint NOT NULL,
    secret    text NOT NULL,
    blocked   boolean NOT NULL,
    updated   timestamptz NOT NULL,
    stored_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT blocked_secrets_pkey PRIMARY KEY (id),
    CONSTRAINT blocked_secrets_secret_key UNIQUE (event_id, secret)
);
CREATE INDEX blocked_secrets_updated_idx ON blocked_secrets (event_id, updated, id);
CREATE INDEX blocked_secrets_stored_idx ON blocked_secrets (event_id, stored_at, id);
CREATE INDEX blocked_secrets_order_idx ON blocked_secrets (order_id);

-- Scans of tickets; list_id may name a list that is gone.
CREATE TABLE checkins (
    id          bigint NOT NULL,
    order_id    bigint NOT NULL,
    position_id bigint NOT NULL,
    list_id     bigint NOT NULL,
    type        text NOT NULL,
    datetime    timestamptz NOT NULL,
    CONSTRAINT checkins_pkey PRIMARY KEY (id),
    CONSTRAINT checkins_type_check CHECK (type IN ('entry', 'exit'))
);
CREATE INDEX checkins_position_idx ON checkins (position_id);
CREATE INDEX checkins_order_idx ON checkins (order_id);
CREATE INDEX checkins_list_idx ON checkins (list_id, position_id);

-- What few ask for is read from the documents; positions of an order are found by their ids.
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

-- What buyers are told by mail. A row is written with the version of the order that it tells of, so there is no mail of an
-- order that is not here, and it stays as long as the order: without it the mail would be sent again. due_at is moved on
-- by whoever is about to try, and is infinity once nobody tries any more.
CREATE TABLE mails (
    order_id  bigint NOT NULL,
    version   bigint NOT NULL,
    kind      text NOT NULL,
    comment   text NOT NULL,
    queued_at timestamptz NOT NULL DEFAULT now(),
    due_at    timestamptz NOT NULL DEFAULT now(),
    tries     integer NOT NULL DEFAULT 0,
    sent_at   timestamptz,
    error     text,
    CONSTRAINT mails_pkey PRIMARY KEY (order_id, version, kind),
    CONSTRAINT mails_kind_check
        CHECK (kind IN ('placed', 'paid', 'canceled', 'approved', 'denied', 'changed', 'link'))
);
CREATE INDEX mails_due_idx ON mails (due_at) WHERE sent_at IS NULL;

-- Whom organizers want told of what. A webhook that is deleted is only disabled, as in pretix.
CREATE TABLE webhooks (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    organizer_id bigint NOT NULL,
    enabled      boolean NOT NULL,
    target_url   text NOT NULL,
    all_events   boolean NOT NULL,
    limit_events text[] NOT NULL,
    action_types text[] NOT NULL,
    comment      text,
    CONSTRAINT webhooks_pkey PRIMARY KEY (id),
    CONSTRAINT webhooks_organizer_fkey FOREIGN KEY (organizer_id) REFERENCES organizers (id)
);
CREATE INDEX webhooks_organizer_idx ON webhooks (organizer_id, id);

-- What has happened to orders whose organizer has a webhook, written with the order and gone once it is told. versions
-- are the order before (null if it was not here), those that came in one batch with the newest, and the newest (null if
-- it was deleted); split: it came off another order.
CREATE TABLE order_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    order_id     bigint NOT NULL,
    organizer_id bigint NOT NULL,
    event_id     bigint NOT NULL,
    split        boolean NOT NULL,
    versions     jsonb NOT NULL,
    CONSTRAINT order_changes_pkey PRIMARY KEY (id)
);

-- What webhooks are to be told. notification_id is what they see, the same for all that are told of one action. A queue
-- is one order's notifications for one webhook, told one after the other: due_at is moved on by whoever is about to try.
-- dead_at: nobody tries any more.
CREATE TABLE webhook_queues (
    webhook_id bigint NOT NULL,
    order_id   bigint NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now(),
    tries      integer NOT NULL DEFAULT 0,
    CONSTRAINT webhook_queues_pkey PRIMARY KEY (webhook_id, order_id),
    CONSTRAINT webhook_queues_webhook_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks (id)
);
CREATE INDEX webhook_queues_due_idx ON webhook_queues (webhook_id, due_at);

CREATE TABLE notifications (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    notification_id bigint NOT NULL,
    webhook_id      bigint NOT NULL,
    order_id        bigint NOT NULL,
    body            json NOT NULL,
    queued_at       timestamptz NOT NULL DEFAULT now(),
    dead_at         timestamptz,
    error           text,
    CONSTRAINT notifications_pkey PRIMARY KEY (id),
    CONSTRAINT notifications_webhook_fkey FOREIGN KEY (webhook_id) REFERENCES webhooks (id)
);
CREATE INDEX notifications_queue_idx ON notifications (webhook_id, order_id, id) WHERE dead_at IS NULL;
CREATE INDEX notifications_dead_idx ON notifications (dead_at, id) WHERE dead_at IS NOT NULL;

CREATE SEQUENCE notification_ids;

-- ---------------------------------------------------------------------------------------------------- what was billed

-- An invoice is frozen when it is issued: body is all that it says (engine/domain/invoice.py), the file a drawing of it.
-- One that was canceled stays, and the cancellation that refers to it is an invoice too. order_version is what it was
-- made from; number is the place in a series, as it is written. Those of orders in test mode go with them.
CREATE TABLE invoices (
    id              bigint GENERATED ALWAYS AS IDENTITY,
    organizer_id    bigint NOT NULL,
    event_id        bigint NOT NULL,
    order_id        bigint NOT NULL,
    order_code      text NOT NULL,
    order_version   bigint NOT NULL,
    number          text NOT NULL,
    series          text NOT NULL,
    place           bigint NOT NULL,
    is_cancellation boolean NOT NULL,
    refers          text,
    canceled        boolean NOT NULL DEFAULT false,
    date            date NOT NULL,
    locale          text NOT NULL,
    issued_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    body            jsonb NOT NULL,
    CONSTRAINT invoices_pkey PRIMARY KEY (id),
    CONSTRAINT invoices_number_key UNIQUE (organizer_id, number),
    CONSTRAINT invoices_place_key UNIQUE (organizer_id, series, place),
    CONSTRAINT invoices_refers_key UNIQUE (organizer_id, refers),
    CONSTRAINT invoices_refers_check CHECK (is_cancellation = (refers IS NOT NULL)),
    CONSTRAINT invoices_canceled_check CHECK (NOT (is_cancellation AND canceled)),
    CONSTRAINT invoices_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);
CREATE UNIQUE INDEX invoices_standing_key ON invoices (order_id) WHERE NOT is_cancellation AND NOT canceled;
CREATE INDEX invoices_order_idx ON invoices (order_id, id);
-- for lists: of one event, of one order
CREATE INDEX invoices_event_idx ON invoices (event_id, number) INCLUDE (id, date, is_cancellation, locale);
CREATE INDEX invoices_code_idx ON invoices (organizer_id, order_code);

-- The last number of each series of an organizer. It moves in the transaction that issues the invoice, so a number is
-- never lost; whoever takes one waits for whoever is about to.
CREATE TABLE invoice_series (
    organizer_id bigint NOT NULL,
    prefix       text NOT NULL,
    last         bigint NOT NULL,
    CONSTRAINT invoice_series_pkey PRIMARY KEY (organizer_id, prefix)
);

-- The drawings. due_at is moved on by whoever is about to draw, and is infinity while there is nothing to do.
CREATE TABLE invoice_files (
    invoice_id bigint NOT NULL,
    due_at     timestamptz NOT NULL DEFAULT now(),
    tries      integer NOT NULL DEFAULT 0,
    error      text,
    pdf        bytea,
    CONSTRAINT invoice_files_pkey PRIMARY KEY (invoice_id),
    CONSTRAINT invoice_files_invoice_fkey FOREIGN KEY (invoice_id) REFERENCES invoices (id) ON DELETE CASCADE
);
CREATE INDEX invoice_files_due_idx ON invoice_files (due_at) WHERE pdf IS NULL;

-- How far orders have been looked at for what is to be billed, by event: the stored_at and id of the last one. since is
-- when invoices began to be made without being asked for; what was placed and paid before is left alone.
CREATE TABLE invoice_marks (
    event_id bigint NOT NULL,
    seen_at  timestamptz NOT NULL,
    seen_id  bigint NOT NULL DEFAULT 0,
    since    timestamptz,
    CONSTRAINT invoice_marks_pkey PRIMARY KEY (event_id),
    CONSTRAINT invoice_marks_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);

-- Files of tickets, made when somebody asks for one and kept for a while: of a whole order (position_id 0) or of one position.
-- made and wanted are what the file shows and what it is to show: the order's version, then a digest of the catalogue.
-- Work is there where they differ and Postgres has the order's version; due_at is moved on by whoever is about to do it.
-- Unlogged, because a crash of the server costs only that the next request has the file made again.
CREATE UNLOGGED TABLE ticket_files (
    order_id    bigint NOT NULL,
    position_id bigint NOT NULL,
    wanted      text NOT NULL,
    version     bigint NOT NULL,
    due_at      timestamptz NOT NULL DEFAULT now(),
    tries       integer NOT NULL DEFAULT 0,
    error       text,
    made        text,
    file        bytea,
    expires_at  timestamptz NOT NULL,
    CONSTRAINT ticket_files_pkey PRIMARY KEY (order_id, position_id)
);
CREATE INDEX ticket_files_due_idx ON ticket_files (due_at) WHERE made IS DISTINCT FROM wanted;
CREATE INDEX ticket_files_expires_idx ON ticket_files (expires_at);

-- Ids are leased in blocks of the increment: nextval gives the first id of a block (engine/sales/ids.py).
CREATE SEQUENCE order_ids INCREMENT 1000;
CREATE SEQUENCE position_ids INCREMENT 1000;
CREATE SEQUENCE fee_ids INCREMENT 1000;
CREATE SEQUENCE checkin_ids INCREMENT 1000;
CREATE SEQUENCE hold_ids INCREMENT 10000;

-- Codes and secrets that clients chose themselves: claimed here before the order is made, so that two orders cannot
-- have one. scope is 'code' or 'secret'; owner is the organizer or the event.
CREATE TABLE claims (
    scope      text NOT NULL,
    owner_id   bigint NOT NULL,
    value      text NOT NULL,
    order_id   bigint NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT claims_pkey PRIMARY KEY (scope, owner_id, value)
);
CREATE INDEX claims_order_id_idx ON claims (order_id);

-- Orders that were deleted (only those of test mode ever are): should Redis come back as it was before and have to tell
-- what it has that Postgres lacks, they must not come back with it.
CREATE TABLE deleted_orders (
    id         bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deleted_orders_pkey PRIMARY KEY (id)
);

-- ------------------------------------------------------------------------------------------ how Redis is followed
-- One row a shard: the outbox entry last written here (stream id as two numbers) and the epoch a drain must find in
-- Redis. The conditional update of this row opens every drain transaction.
CREATE TABLE shards (
    shard    integer NOT NULL,
    epoch    bigint NOT NULL,
    last_ms  bigint NOT NULL,
    last_seq bigint NOT NULL,
    CONSTRAINT shards_pkey PRIMARY KEY (shard)
);

-- Outbox entries that could not be written, with the reason; they do not stop the shard.
CREATE TABLE parked_entries (
    shard     integer NOT NULL,
    entry     text NOT NULL,
    body      text NOT NULL,
    error     text NOT NULL,
    parked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT parked_entries_pkey PRIMARY KEY (shard, entry)
);

-- What was replied to requests with an idempotency key that made or changed an order, by the name that Redis has for the
-- key; asked for only after Redis has lost its own.
CREATE TABLE replies (
    name    text NOT NULL,
    request text NOT NULL,
    reply   bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT replies_pkey PRIMARY KEY (name)
);
CREATE INDEX replies_kept_at_idx ON replies (kept_at);

-- One key for the whole installation: order codes are a keyed permutation of a counter (engine/domain/codes.py).
CREATE TABLE installation (
    one      boolean NOT NULL DEFAULT true,
    code_key bytea NOT NULL DEFAULT uuid_send(gen_random_uuid()),
    shards   integer,
    CONSTRAINT installation_pkey PRIMARY KEY (one),
    CONSTRAINT installation_one_check CHECK (one)
);
INSERT INTO installation DEFAULT VALUES;

-- How far the comparison of Redis with Postgres has come (workers/reconcile.py): the event it was at, how many it has
-- compared and passed over since the installation began, and how often it has been through all of them.
CREATE TABLE reconciliation (
    one         boolean NOT NULL DEFAULT true,
    event_id    bigint NOT NULL DEFAULT 0,
    compared    bigint NOT NULL DEFAULT 0,
    passed_over bigint NOT NULL DEFAULT 0,
    rounds      bigint NOT NULL DEFAULT 0,
    round_ended timestamptz,
    CONSTRAINT reconciliation_pkey PRIMARY KEY (one),
    CONSTRAINT reconciliation_one_check CHECK (one)
);
INSERT INTO reconciliation DEFAULT VALUES;

-- What differed between Redis and Postgres when an event was compared last.
CREATE TABLE differences (
    id       bigint GENERATED ALWAYS AS IDENTITY,
    event_id bigint NOT NULL,
    rule     text NOT NULL,
    place    text NOT NULL,
    expected text NOT NULL,
    found    text NOT NULL,
    cause    text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT differences_pkey PRIMARY KEY (id),
    CONSTRAINT differences_event_fkey FOREIGN KEY (event_id) REFERENCES events (id) ON DELETE CASCADE
);
CREATE INDEX differences_event_idx ON differences (event_id);

-- ------------------------------------------------------------------------------------------------ what came from elsewhere
-- Events that were taken over from other servers (docs/decisions/0006-import.md). source is the event's URL there. Orders
-- placed until placed_until have been looked at in the order in which they were placed; once that is done, followed_to is
-- the modified_since of the next look.

CREATE TABLE imports (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    organizer_id bigint NOT NULL,
    source       text NOT NULL,
    event_id     bigint NOT NULL,
    placed_until timestamptz,
    followed_to  timestamptz,
    CONSTRAINT imports_pkey PRIMARY KEY (id),
    CONSTRAINT imports_source_key UNIQUE (organizer_id, source),
    CONSTRAINT imports_event_fkey FOREIGN KEY (event_id) REFERENCES events (id)
);

-- Which of our ids stands for which of theirs, by kind of thing; digest tells whether what they said of it has changed.
CREATE TABLE import_ids (
    import_id bigint NOT NULL,
    kind      text NOT NULL,
    theirs    text NOT NULL,
    ours      bigint NOT NULL,
    digest    text NOT NULL DEFAULT '',
    CONSTRAINT import_ids_pkey PRIMARY KEY (import_id, kind, theirs),
    CONSTRAINT import_ids_import_fkey FOREIGN KEY (import_id) REFERENCES imports (id) ON DELETE CASCADE
);
