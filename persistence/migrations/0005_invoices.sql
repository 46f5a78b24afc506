-- Invoices: what was billed, in which numbers, drawn where, and how far orders have been looked at.

-- An invoice is frozen when it is issued: body is all that it says (engine/domain/invoice.py), the file a drawing of it.
-- One that was canceled stays, and the cancellation that refers to it is an invoice too. order_version is what it was
-- made from. Rows outlive nothing but orders in test mode, which have numbers of their own.
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

-- events that asked for invoices before there were any get them from now on
INSERT INTO invoice_marks (event_id, seen_at, since)
SELECT id, now(), now() FROM events WHERE settings ->> 'invoice_generate' IN ('True', 'paid');
