-- Reads the counts of quotas: exact, after what is due has been released.
--
-- KEYS   1 event, 2 due
-- ARGV   1 catalogue version
--        2 how long expired holds stay listed, ms
--        3 number of quotas; then for each: quota id, number of products, products
-- STATUS unknown_event    no such event here: the fence's alarm
--        stale_catalogue  the catalogue is at another version
--        again            more holds were due than one call releases; call again
--        ok
-- RETURNS ok, then for each quota: size (-1 unlimited), closed 0|1, held, pending, paid, blocked, waiting, exited, used;
--        what carts hold with a voucher that keeps it free for them counts as blocked
-- WRITES event, seats, holds, due, purge: what expired, of other events of the shard too
-- COST   O(quotas × their products); at most 64 releases
--#include now_ms
--#include units_load
--#include units
--#include vouchers
--#include seat_names
--#include seats
--#include hold
--#include reap

local event_key, due_key = KEYS[1], KEYS[2]
local version, listed_ms, quota_count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local units = units_open(event_key)

units_load(units, {'v'})
if not units.value.v then return {'unknown_event'} end
if units.value.v ~= version then return {'stale_catalogue', tostring(units.value.v)} end
local more_due = reap(due_key, now_ms(), 64, listed_ms)
units_write()
if more_due then return {'again'} end

local answer, at = {'ok'}, 4
for _ = 1, quota_count do
  local quota, product_count = ARGV[at], tonumber(ARGV[at + 1])
  local fields = {'s' .. quota, 'l' .. quota, 'u' .. quota}
  for p = at + 2, at + 1 + product_count do
    for _, state in ipairs({'h', 'n', 'p', 'b', 'w', 'x', 'd'}) do fields[#fields + 1] = state .. ARGV[p] end
  end
  units_load(units, fields)
  local sums = {h = 0, n = 0, p = 0, b = 0, w = 0, x = 0, d = 0}
  for p = at + 2, at + 1 + product_count do
    for state, sum in pairs(sums) do sums[state] = sum + units_get(units, state .. ARGV[p]) end
  end
  local closed = units_get(units, 'l' .. quota) == -2 and 1 or 0
  for _, value in ipairs({units_get(units, 's' .. quota), closed, math.max(0, sums.h - sums.d), sums.n, sums.p, sums.b + sums.d, sums.w,
    sums.x, units_get(units, 'u' .. quota)}) do answer[#answer + 1] = value end
  at = at + 2 + product_count
end
return answer
