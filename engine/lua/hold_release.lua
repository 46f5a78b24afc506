-- Deletes one hold and the holds that belong to it, and gives back what they took.
--
-- KEYS   1 event, 2 holds, 3 carts, 4 due, 5 purge, 6 reply (only for a request with an idempotency key)
-- ARGV   1 event id, 2 hold id
--        then, with a reply key: owner of the claim, reply, how long to keep it in ms
-- STATUS unknown_event  no such event here: the fence's alarm
--        not_owner      the idempotency key is no longer claimed by this request
--        not_found      no such hold
--        ok
-- RETURNS status
-- WRITES event, seats, holds, carts, due, purge, reply
-- COST   O(holds × quotas of a product), log n in the sorted sets
--#include units_load
--#include units
--#include vouchers
--#include seat_names
--#include seats
--#include hold
--#include reply

local event_key, holds_key, carts_key, due_key, purge_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local reply_key, event, id = KEYS[6], ARGV[1], ARGV[2]
local owner, reply, keep_ms = ARGV[#ARGV - 2], ARGV[#ARGV - 1], ARGV[#ARGV] -- with a reply key only

if redis.call('HEXISTS', event_key, 'v') == 0 then return {'unknown_event'} end
if not reply_ours(reply_key, owner) then return {'not_owner'} end
local hold = hold_find(holds_key, id)
if not hold then return {'not_found'} end

local released = hold_family(holds_key, hold)
for _, one in ipairs(released) do
  hold_end(units_open(event_key), one)
end
units_write()
for _, one in ipairs(released) do
  hold_leave(due_key, event, one)
  redis.call('ZREMRANGEBYSCORE', holds_key, one.id, one.id)
  redis.call('ZREM', carts_key, cart_member(one.cart, one.id))
  redis.call('ZREM', due_key, event .. ':' .. one.id)
  redis.call('ZREM', purge_key, event .. ':' .. one.id)
end
reply_keep(reply_key, reply, {}, keep_ms)
return {'ok'}
