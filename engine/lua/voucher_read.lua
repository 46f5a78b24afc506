-- Reads how often vouchers have been used, and for how much.
--
-- KEYS   1 event
-- ARGV   1 number of vouchers; then their ids
-- STATUS unknown_event  no such event here: the fence's alarm
--        ok
-- RETURNS ok, then for each voucher: uses redeemed by orders, uses taken by carts, hundredths taken off prices
-- WRITES nothing
-- COST   O(vouchers)
local event_key, count = KEYS[1], tonumber(ARGV[1])

if redis.call('HEXISTS', event_key, 'v') == 0 then return {'unknown_event'} end
local answer = {'ok'}
for i = 2, count + 1 do
  local uses = redis.call('HMGET', event_key, 'r' .. ARGV[i], 't' .. ARGV[i], 'y' .. ARGV[i])
  for part = 1, 3 do answer[#answer + 1] = tonumber(uses[part] or 0) end
end
return answer
