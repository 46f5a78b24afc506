-- what autovacuum does within a minute after many rows were made
VACUUM (ANALYZE) seats;
VACUUM (ANALYZE) vouchers;
