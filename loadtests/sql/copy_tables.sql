-- Tables of the same form as those of orders, with all their indexes, for rows to be copied into.
DROP SCHEMA IF EXISTS holdfast_floor CASCADE;
CREATE SCHEMA holdfast_floor;
CREATE TABLE holdfast_floor.orders (LIKE public.orders INCLUDING ALL);
CREATE TABLE holdfast_floor.positions (LIKE public.positions INCLUDING ALL);
