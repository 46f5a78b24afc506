-- Reads orders that were changed lately.
--
-- KEYS   1 event; then the orders
-- ARGV   none
-- STATUS unknown_event  no such event here: the fence's alarm
--        ok
-- RETURNS ok, then for each order its document: empty if the order was deleted, false if it is not here and Postgres has
--        its newest version
-- WRITES nothing
-- COST   O(orders)
if redis.call('HEXISTS', KEYS[1], 'v') == 0 then return {'unknown_event'} end
local answer = {'ok'}
for i, key in ipairs({unpack(KEYS, 2)}) do answer[i + 1] = redis.call('HGET', key, 'd') end
return answer
