-- Makes some of an event's seats live: new ones are free, those that are known keep who has them.
--
-- KEYS   1 seats, 2 shard
-- ARGV   1 catalogue version that they are of
--        2 1 with the last of them, else 0
--        3 number of seats, at most 2000; then for each: field, mark (include/seats.lua)
-- STATUS unverified  the shard has no epoch: nobody has verified this server; the fence's alarm
--        older       a newer version is live, or is being brought in
--        ok
-- RETURNS status, version whose seats were all live before; 0 if there were none
-- WRITES seats
-- COST   O(seats)
--#include seat_names
--#include seats

local seats, shard_key = KEYS[1], KEYS[2]
local version, last, count = tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])

if redis.call('HEXISTS', shard_key, 'epoch') == 0 then return {'unverified', 0} end
local known = redis.call('HMGET', seats, 'v', 'w')
local live, coming = tonumber(known[1] or 0), tonumber(known[2] or 0)
if live >= version or coming > version then return {'older', live} end

redis.call('HSET', seats, 'w', version)
for i = 0, count - 1 do
  local field, mark = ARGV[4 + 2 * i], ARGV[5 + 2 * i]
  local value = redis.call('HGET', seats, field)
  redis.call('HSET', seats, field, (value and seat_parts(value) or 'free') .. mark)
end
if last then redis.call('HSET', seats, 'v', version) end
return {'ok', live}
