-- Positions do not repeat the status of their order: each payment wrote all of them anew for it, a tenth of what a confirm
-- cost. It is looked up, in an index that each version of an order gets an entry of anyway.
-- (docs/decisions/0004-lists-and-sync.md)

ALTER TYPE position_row DROP ATTRIBUTE status;
ALTER TABLE orders DROP CONSTRAINT orders_pkey,
    ADD CONSTRAINT orders_pkey PRIMARY KEY (id) INCLUDE (status) WITH (fillfactor = 50);
DROP INDEX positions_ordered_idx;
ALTER TABLE positions DROP COLUMN status;
CREATE INDEX positions_ordered_idx ON positions (event_id, ordered_at, positionid, id)
    INCLUDE (order_id, item, variation, subevent, voucher, addon_to, canceled, checked_in, words, search);
