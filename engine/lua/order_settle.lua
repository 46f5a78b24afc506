-- Sets the end of life of orders that Postgres has; one that has a newer version by now stays.
--
-- KEYS   any number of orders of one shard, at most 1000
-- ARGV   1 time to live, ms; then the version that Postgres has, for each order
-- STATUS ok
-- RETURNS status
-- WRITES the time to live of the orders
-- COST   O(orders)
for i, key in ipairs(KEYS) do
  -- a key that somebody has written something else over is no order's: all others still end, and the drain goes on
  if redis.pcall('HGET', key, 'v') == ARGV[i + 1] then redis.call('PEXPIRE', key, ARGV[1]) end
end
return {'ok'}
