-- Releases what is due in a quiet shard, and forgets expired holds that were listed long enough.
--
-- KEYS   1 due, 2 purge, 3 shard, 4 outbox
-- ARGV   1 how long expired holds stay listed, ms
--        2 how many to release and how many to forget at most, up to 100
-- STATUS unverified      the shard has no epoch: nobody has verified this server; the fence's alarm
--        unknown_outbox  the shard has no outbox: the same alarm
--        ok
-- RETURNS ok, 1 if there is more to do, else 0
-- WRITES event, seats, holds, carts of the events concerned, due, purge
-- COST   O(what is due), bounded
--#include now_ms
--#include units_load
--#include units
--#include vouchers
--#include seat_names
--#include seats
--#include hold
--#include reap

local due_key, purge_key, shard_key, outbox_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local listed_ms, most = tonumber(ARGV[1]), math.min(tonumber(ARGV[2]), 100)
local now = now_ms()
local prefix = string.sub(due_key, 1, -4)

if redis.call('HEXISTS', shard_key, 'epoch') == 0 then return {'unverified'} end
if redis.call('EXISTS', outbox_key) == 0 then return {'unknown_outbox'} end
local more = reap(due_key, now, most, listed_ms)
units_write()
local members = redis.call('ZRANGEBYSCORE', purge_key, '-inf', now, 'LIMIT', 0, most + 1)
for i = 1, math.min(#members, most) do
  local event, id = string.match(members[i], '^(%d+):(%d+)$')
  local holds_key = prefix .. 'holds:' .. event
  local hold = hold_find(holds_key, id)
  if hold and hold.state == 'E' then
    redis.call('ZREMRANGEBYSCORE', holds_key, id, id)
    redis.call('ZREM', prefix .. 'carts:' .. event, cart_member(hold.cart, id))
  end
  redis.call('ZREM', purge_key, members[i])
end
return {'ok', (more or #members > most) and 1 or 0}
