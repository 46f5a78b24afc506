-- Makes a version of an event's catalogue live. An older version than the live one is ignored.
--
-- KEYS   1 event, 2 shard, 3 outbox, 4 due
-- ARGV   1 catalogue version
--        2 1 when the event has just been made (then it may be new here), else 0
--        3 event id
--        4 product that must be neither held nor sold (a part of it that is 0 stands for any), or empty
--        5 how long expired holds stay listed, ms
--        6 the version that has to be live where only what has changed since follows; empty: all of it follows
--        7 1 if Postgres has not committed the version yet, else 0
--        8 number of quotas of which more is going to be kept free; then each: quota id, units
--        then what has changed, as include/changes.lua says; or all of it:
--        number of vouchers that keep units free; then all that include/vouchers.lua says
--        then number of quotas; then each quota as include/quotas.lua says
-- STATUS unverified     the shard has no epoch: nobody has verified this server; the fence's alarm
--        unknown_event  the event ought to be here and is not: the fence's alarm
--        older          a newer version is live, or this one and is committed
--        behind         what has changed follows on another version than the live one, or on one that was not committed
--        again          more holds were due than one call releases; call again (nothing has been made live)
--        in_use         somebody holds that product, or it is part of a pending or paid order
--        no_room        a quota has no room for what is to be kept free
--        ok
-- RETURNS status, live version
-- WRITES event, outbox, shard, due; if anything has to be unused or free, what has expired: events, seats, holds, due, purge
-- COST   O(fields of the event + quotas × their products); of what has changed, if nothing has to be unused
--#include now_ms
--#include outbox
--#include outbox_add
--#include units_load
--#include units
--#include vouchers
--#include seat_names
--#include seats
--#include hold
--#include reap
--#include quotas
--#include changes

local event_key, shard_key, outbox_key, due_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local version, new = tonumber(ARGV[1]), ARGV[2] == '1'
local unused, listed_ms = ARGV[4], tonumber(ARGV[5])
local base, early = ARGV[6], ARGV[7] == '1'

if redis.call('HEXISTS', shard_key, 'epoch') == 0 then return {'unverified', 0} end
local units = units_open(event_key)
local live = redis.call('HGET', event_key, 'v')
if not live and not new then return {'unknown_event', 0} end
-- whoever made the live version live before its commit may never have committed it, and this one be another of its number
local open = live and redis.call('HGET', event_key, 'o') == live
if live and (tonumber(live) > version or tonumber(live) == version and not open) then
  return {'older', tonumber(live)}
end
if base ~= '' and (base ~= live or open) then return {'behind'} end

local room_count = tonumber(ARGV[8])
local what_at = 9 + 2 * room_count
if unused ~= '' or room_count > 0 then
  local more_due = reap(due_key, now_ms(), 64, listed_ms)
  units_write()
  if more_due then return {'again'} end
end
if unused ~= '' then
  -- a part that is 0 matches any number
  local pattern = '^[hnp]' .. string.gsub(string.gsub(unused, '%f[%d]0%f[%D]', '%%d+'), '%.', '%%.') .. '$'
  for _, field in ipairs(redis.call('HKEYS', event_key)) do
    if string.match(field, pattern) and units_get(units, field) > 0 then return {'in_use'} end
  end
end

for at = 9, what_at - 1, 2 do
  if not units_room(units, units_quota(units, ARGV[at]), tonumber(ARGV[at + 1])) then return {'no_room'} end
end

if base == '' then
  quotas_apply(units, vouchers_apply(units, what_at, now_ms(), due_key, ARGV[3]), outbox_key)
else
  changes_apply(units, what_at, now_ms(), due_key, ARGV[3], outbox_key)
end
units_set(units, 'v', ARGV[1])
if early then units_set(units, 'o', ARGV[1]) else redis.call('HDEL', event_key, 'o') end
units_write()
return {'ok', version}
