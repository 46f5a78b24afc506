-- Makes an event anew from what Postgres remembers and the holds that survived.
--
-- KEYS   1 event, 2 due
-- ARGV   1 catalogue version
--        2 event id
--        3 number of counts; then each: field (as in include/units.lua and include/vouchers.lua), units
--        then what vouchers keep free and how many wait, as include/vouchers.lua says
--        then number of quotas; then each quota as include/quotas.lua says
-- STATUS ok
-- RETURNS status
-- WRITES event, due
-- COST   O(counts + quotas × their products)
--#include now_ms
--#include units
--#include vouchers
--#include quotas

local event_key, due_key = KEYS[1], KEYS[2]
local counts = tonumber(ARGV[3])

redis.call('DEL', event_key)
local units = units_open(event_key)
for i = 0, counts - 1 do
  units_set(units, ARGV[4 + 2 * i], tonumber(ARGV[5 + 2 * i]))
end
quotas_apply(units, vouchers_apply(units, 4 + 2 * counts, now_ms(), due_key, ARGV[2]))
units_set(units, 'v', ARGV[1])
units_write()
return {'ok'}
