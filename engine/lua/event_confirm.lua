-- Notes that a version of an event's catalogue, which was made live before its commit, is committed.
--
-- KEYS   1 event
-- ARGV   1 catalogue version
-- STATUS unknown_event  no such event here: the fence's alarm
--        ok
-- RETURNS ok, live version
-- WRITES event
-- COST   O(1)
local version = redis.call('HGET', KEYS[1], 'v')
if not version then return {'unknown_event'} end
if redis.call('HGET', KEYS[1], 'o') == ARGV[1] then redis.call('HDEL', KEYS[1], 'o') end
return {'ok', tonumber(version)}
