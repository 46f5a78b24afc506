-- Reads one hold.
--
-- KEYS   1 event, 2 holds
-- ARGV   1 hold id
-- STATUS unknown_event  no such event here: the fence's alarm
--        not_found      no such hold
--        ok
-- RETURNS ok, the packed hold
-- WRITES nothing
-- COST   log n
local event_key, holds_key, id = KEYS[1], KEYS[2], ARGV[1]

if redis.call('HEXISTS', event_key, 'v') == 0 then return {'unknown_event'} end
local found = redis.call('ZRANGEBYSCORE', holds_key, id, id)
if #found == 0 then return {'not_found'} end
return {'ok', found[1]}
