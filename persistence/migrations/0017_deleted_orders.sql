-- Orders that were deleted (only those of test mode ever are): should Redis come back as it was before and have to tell
-- what it has that Postgres lacks, they must not come back with it.
CREATE TABLE deleted_orders (
    id         bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deleted_orders_pkey PRIMARY KEY (id)
);

-- Deleting an order frees what clients had claimed for it.
CREATE INDEX claims_order_id_idx ON claims (order_id);
