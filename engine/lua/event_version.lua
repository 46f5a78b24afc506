-- Reads the version of an event's live catalogue.
--
-- KEYS   1 event
-- ARGV   none
-- STATUS unknown_event  no such event here
--        ok
-- RETURNS ok, version, 1 if it was made live before its commit and nobody has said since that it is committed, else 0
-- WRITES nothing
-- COST   O(1)
local version = redis.call('HGET', KEYS[1], 'v')
if not version then return {'unknown_event'} end
return {'ok', tonumber(version), redis.call('HGET', KEYS[1], 'o') == version and 1 or 0}
