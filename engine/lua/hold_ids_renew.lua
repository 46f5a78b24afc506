-- Sees to it that an event goes on with no block of hold ids that was leased before: for the fence.
--
-- KEYS   1 event
-- ARGV   1 first id of a block that nobody was given
-- STATUS unknown_event  no such event here, and none is made
--        ok
-- RETURNS status
-- WRITES event
-- COST   O(1)
local event_key, first = KEYS[1], tonumber(ARGV[1])
if redis.call('HEXISTS', event_key, 'v') == 0 then return {'unknown_event'} end
redis.call('HSET', event_key, 'id', first, 'id_last', first - 1)
return {'ok'}
