-- What was taken over from other servers, and which of our ids stand for which of theirs.
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

CREATE TABLE import_ids (
    import_id bigint NOT NULL,
    kind      text NOT NULL,
    theirs    text NOT NULL,
    ours      bigint NOT NULL,
    digest    text NOT NULL DEFAULT '',
    CONSTRAINT import_ids_pkey PRIMARY KEY (import_id, kind, theirs),
    CONSTRAINT import_ids_import_fkey FOREIGN KEY (import_id) REFERENCES imports (id) ON DELETE CASCADE
);
