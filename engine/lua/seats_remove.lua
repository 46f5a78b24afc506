-- Takes seats out of an event: all of them, or none if somebody has one.
--
-- KEYS   1 seats, 2 shard
-- ARGV   1 number of seats; then the field of each
-- STATUS unverified  the shard has no epoch: nobody has verified this server; the fence's alarm
--        taken       then the fields of the first seats that somebody has, at most 10
--        ok
-- RETURNS status
-- WRITES seats
-- COST   O(seats)
--#include seat_names
--#include seats

local seats, shard_key = KEYS[1], KEYS[2]

if redis.call('HEXISTS', shard_key, 'epoch') == 0 then return {'unverified'} end
local answer = {'taken'}
for i = 2, 1 + tonumber(ARGV[1]) do
  local value = redis.call('HGET', seats, ARGV[i])
  if value and seat_parts(value) ~= 'free' and #answer <= 10 then answer[#answer + 1] = ARGV[i] end
end
if #answer > 1 then return answer end

for i = 2, 1 + tonumber(ARGV[1]) do redis.call('HDEL', seats, ARGV[i]) end
-- whoever publishes next brings all seats, also these if they were not to be removed after all
if redis.call('EXISTS', seats) == 1 then redis.call('HSET', seats, 'v', 0) end
return {'ok'}
