-- Sees to it that events go on with no block of hold ids that was leased before: for the fence.
--
-- KEYS   any number of events of one shard, at most 1000
-- ARGV   1 first id of a block that nobody was given
-- STATUS ok
-- RETURNS status
-- WRITES event; none that is not here
-- COST   O(events)
local first = tonumber(ARGV[1])
for _, event in ipairs(KEYS) do
  if redis.call('HEXISTS', event, 'v') == 1 then redis.call('HSET', event, 'id', first, 'id_last', first - 1) end
end
return {'ok'}
