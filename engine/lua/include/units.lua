-- Unit counters of events, read once, changed in memory, written once.
--
-- Fields of the event hash (P is item.variation.subevent, Q a quota's id):
--   h<P> n<P> p<P> b<P> w<P> x<P>  units held, pending, paid, blocked by vouchers, waiting, exited
--   d<P>  of those held, the ones that a voucher keeps free for the cart (include/vouchers.lua)
--   q<P>  ids of the quotas that cover P, joined by commas
--   u<Q>  units used: the sum over the quota's products of all that counts
--   c<Q>  of those, the ones committed: pending, paid, blocked and those of carts that a voucher keeps free
--   l<Q>  limit: the size, or -1 unlimited, or -2 closed
--   s<Q>  size, or -1; f<Q> close_when_sold_out; e<Q> release_after_exit; k<Q> version of the last word on `closed`
--   a<Q>  allowance: units beyond the size that somebody has allowed
local opened = {}

-- The counters of an event: `value` by field, as read and changed; `was` what Redis has of those that were changed.
local function units_open(key)
  local units = opened[key]
  if not units then
    units = {key = key, value = {}, was = {}, quota = {}, quotas = {}}
    opened[key] = units
  end
  return units
end

local function units_get(units, field)
  local value = units.value[field]
  if value == nil then
    units_load(units, {field})
    value = units.value[field]
  end
  return value or 0
end

local function units_set(units, field, value)
  if units.was[field] == nil then units.was[field] = units.value[field] or false end
  units.value[field] = value
end

local function units_add(units, field, delta)
  local before = units_get(units, field)
  if units.was[field] == nil then units.was[field] = before end
  units.value[field] = before + delta
end

-- The names of the fields of a quota that are used most, by their letter.
local function units_quota(units, id)
  local quota = units.quota[id]
  if not quota then
    quota = {id = id, u = 'u' .. id, l = 'l' .. id, c = 'c' .. id, f = 'f' .. id}
    units.quota[id] = quota
  end
  return quota
end

-- What is read of a quota with its product: enough for a hold. A script that needs more says so before it begins.
local quota_kinds = {'u', 'l'}

-- The quotas of a product with their counters loaded: a list of the names of their fields.
local function units_quotas(units, product)
  local list = units.quotas[product]
  if list then return list end
  list = {}
  local fields = {}
  for id in string.gmatch(units_get(units, 'q' .. product), '[1-9]%d*') do
    local quota = units_quota(units, id)
    list[#list + 1] = quota
    for i = 1, #quota_kinds do fields[#fields + 1] = quota[quota_kinds[i]] end
  end
  units_load(units, fields)
  units.quotas[product] = list
  return list
end

-- What has left again gives its unit back where the quota says so.
local function units_exit(units, quotas, delta)
  for _, quota in ipairs(quotas) do
    if units_get(units, 'e' .. quota.id) == 1 then
      units_add(units, quota.u, -delta)
      units_add(units, quota.c, -delta)
    end
  end
end

-- Moves `delta` units of a product in or out of one state, and of its quotas with it.
local function units_move(units, product, state, delta)
  local quotas, value, was, counted = units_quotas(units, product), units.value, units.was, state .. product
  -- three times what units_add does, without calling it: this is what holds and orders do most
  local before = value[counted] or units_get(units, counted)
  if was[counted] == nil then was[counted] = before end
  value[counted] = before + delta
  if state == 'x' then return units_exit(units, quotas, delta) end
  local is_used, is_committed = state ~= 'd', state ~= 'h' and state ~= 'w'
  for i = 1, #quotas do
    if is_used then
      local used = quotas[i].u
      before = value[used] or units_get(units, used)
      if was[used] == nil then was[used] = before end
      value[used] = before + delta
    end
    if is_committed then
      local committed = quotas[i].c
      before = value[committed] or units_get(units, committed)
      if was[committed] == nil then was[committed] = before end
      value[committed] = before + delta
    end
  end
end

-- Is there room for `count` more in the quota? Unlimited is -1; closed (-2) has room for nothing.
local function units_room(units, quota, count)
  local limit = units_get(units, quota.l)
  return limit == -1 or units_get(units, quota.u) + count <= limit
end

-- Writes what is different from what Redis has.
local function units_write()
  for _, units in pairs(opened) do
    local changes, value = {}, units.value
    for field, was in pairs(units.was) do
      if value[field] ~= was then
        changes[#changes + 1] = field
        changes[#changes + 1] = value[field]
      end
    end
    for first = 1, #changes, 4000 do
      redis.call('HSET', units.key, unpack(changes, first, math.min(first + 3999, #changes)))
    end
    if next(units.was) then units.was = {} end
  end
end
