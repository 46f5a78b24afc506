-- Reads who has some seats of an event.
--
-- KEYS   1 event, 2 seats
-- ARGV   1 number of seats, at most 500; then the field of each
-- STATUS unknown_event  no such event here: the fence's alarm
--        ok
-- RETURNS ok, the value of each seat (include/seats.lua), empty if there is none
-- WRITES nothing
-- COST   O(seats)
if redis.call('HEXISTS', KEYS[1], 'v') == 0 then return {'unknown_event'} end
local answer = {'ok'}
for i = 2, 1 + tonumber(ARGV[1]) do answer[#answer + 1] = redis.call('HGET', KEYS[2], ARGV[i]) or '' end
return answer
