-- Webhooks of organizers, what they are to be told, and what happened to orders that has not been told yet.

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

CREATE TABLE order_changes (
    id           bigint GENERATED ALWAYS AS IDENTITY,
    order_id     bigint NOT NULL,
    organizer_id bigint NOT NULL,
    event_id     bigint NOT NULL,
    split        boolean NOT NULL,
    versions     jsonb NOT NULL,
    CONSTRAINT order_changes_pkey PRIMARY KEY (id)
);

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
