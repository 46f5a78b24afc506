-- Takes away what copy_tables.sql has made.
DROP SCHEMA IF EXISTS holdfast_floor CASCADE;
