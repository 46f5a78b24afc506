-- Reads an order that was changed lately.
--
-- KEYS   1 event, 2 order
-- ARGV   none
-- STATUS unknown_event  no such event here: the fence's alarm
--        not_found      the order is not here; Postgres has its newest version
--        ok
-- RETURNS ok, document (empty: the order was deleted)
-- WRITES nothing
-- COST   O(1)
if redis.call('HEXISTS', KEYS[1], 'v') == 0 then return {'unknown_event'} end
local document = redis.call('HGET', KEYS[2], 'd')
if not document then return {'not_found'} end
return {'ok', document}
