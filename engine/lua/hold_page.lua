-- Reads one page of an event's holds.
--
-- KEYS   1 event, 2 holds, 3 carts
-- ARGV   1 first row, from 0
--        2 number of rows, at most 500
--        3 ordering: datetime | -datetime | cart_id | -cart_id
-- STATUS unknown_event  no such event here: the fence's alarm
--        ok
-- RETURNS ok, number of all holds, the packed holds of the page
-- WRITES nothing
-- COST   O(rows), log n
local event_key, holds_key, carts_key = KEYS[1], KEYS[2], KEYS[3]
local first, count, ordering = tonumber(ARGV[1]), math.min(tonumber(ARGV[2]), 500), ARGV[3]
local last = first + count - 1

if redis.call('HEXISTS', event_key, 'v') == 0 then return {'unknown_event'} end
local answer = {'ok', redis.call('ZCARD', holds_key)}
if ordering == 'datetime' or ordering == '-datetime' then
  local command = ordering == 'datetime' and 'ZRANGE' or 'ZREVRANGE'
  for _, member in ipairs(redis.call(command, holds_key, first, last)) do answer[#answer + 1] = member end
else
  local command = ordering == 'cart_id' and 'ZRANGE' or 'ZREVRANGE'
  for _, member in ipairs(redis.call(command, carts_key, first, last)) do
    local id = tonumber(string.sub(member, -15))
    answer[#answer + 1] = redis.call('ZRANGEBYSCORE', holds_key, id, id)[1]
  end
end
return answer
