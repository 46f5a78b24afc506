-- Makes an event anew from what Postgres remembers and the holds that survived.
--
-- KEYS   1 event
-- ARGV   1 catalogue version
--        2 number of counts; then each: field (state and product, as in include/units.lua), units
--        then number of quotas; then each quota as include/quotas.lua says
-- STATUS ok
-- RETURNS status
-- WRITES event
-- COST   O(counts + quotas × their products)
--#include units
--#include quotas

local event_key = KEYS[1]
local counts = tonumber(ARGV[2])

redis.call('DEL', event_key)
local units = units_open(event_key)
for i = 0, counts - 1 do
  units_set(units, ARGV[3 + 2 * i], tonumber(ARGV[4 + 2 * i]))
end
quotas_apply(units, 3 + 2 * counts)
units_set(units, 'v', ARGV[1])
units_write()
return {'ok'}
