-- Makes an event anew from what Postgres remembers and the holds that survived.
--
-- KEYS   1 event, 2 due, 3 shard
-- ARGV   1 epoch under which the shard is rebuilt
--        2 catalogue version
--        3 event id
--        4 number of counts; then each: field (as in include/units.lua and include/vouchers.lua), units
--        then what vouchers keep free and how many wait, as include/vouchers.lua says
--        then number of quotas; then each quota as include/quotas.lua says
-- STATUS emptied  what the rebuild began with is gone, and with it the holds that were counted
--        ok
-- RETURNS status
-- WRITES event, due
-- COST   O(counts + quotas × their products)
--#include now_ms
--#include outbox
--#include outbox_add
--#include units_load
--#include units
--#include vouchers
--#include quotas

local event_key, due_key = KEYS[1], KEYS[2]
local counts = tonumber(ARGV[4])

if redis.call('HGET', KEYS[3], 'rebuilding') ~= ARGV[1] then return {'emptied'} end
redis.call('DEL', event_key)
local units = units_open(event_key)
for i = 0, counts - 1 do
  units_set(units, ARGV[5 + 2 * i], tonumber(ARGV[6 + 2 * i]))
end
quotas_apply(units, vouchers_apply(units, 5 + 2 * counts, now_ms(), due_key, ARGV[3]))
units_set(units, 'v', ARGV[2])
units_write()
return {'ok'}
