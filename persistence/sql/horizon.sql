-- name: horizon a moment since which all is stored that the next statement of this transaction does not see yet
-- A transaction that writes orders locks the table first and reads the clock for stored_at then. If its lock is seen here,
-- it began no later than what is returned; if not, it reads the clock after this statement was sent.
SELECT least(statement_timestamp(), min(writers.xact_start)) AS horizon
FROM pg_locks JOIN pg_stat_activity AS writers ON writers.pid = pg_locks.pid
WHERE pg_locks.relation = 'orders'::regclass AND pg_locks.mode = 'RowExclusiveLock'
  AND pg_locks.database = (SELECT oid FROM pg_database WHERE datname = current_database());
