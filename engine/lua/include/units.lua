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

local function units_open(key)
  local units = opened[key]
  if not units then
    units = {key = key, value = {}, changed = {}, quotas = {}}
    opened[key] = units
  end
  return units
end

-- Reads many fields at once; a field that is missing is false. unpack is bounded by Lua's stack: 4,000 values at a time
-- stay far below it.
local function units_load(units, fields)
  for first = 1, #fields, 4000 do
    local last = math.min(first + 3999, #fields)
    local got = redis.call('HMGET', units.key, unpack(fields, first, last))
    for i = first, last do
      if units.value[fields[i]] == nil then units.value[fields[i]] = got[i - first + 1] end
    end
  end
end

local function units_get(units, field)
  local value = units.value[field]
  if value == nil then
    value = redis.call('HGET', units.key, field)
    units.value[field] = value
  end
  return tonumber(value or 0)
end

-- What units_set has overwritten since units_begin, four words each: units, field, its value, whether it was to be written.
local journal, journaled

local function units_begin()
  journal, journaled = {}, 0
end

-- Puts everything back as it was at units_begin.
local function units_undo()
  for i = journaled - 3, 1, -4 do
    journal[i].value[journal[i + 1]] = journal[i + 2]
    journal[i].changed[journal[i + 1]] = journal[i + 3]
  end
  journaled = 0
end

local function units_set(units, field, value)
  if journal then
    journal[journaled + 1], journal[journaled + 2] = units, field
    journal[journaled + 3], journal[journaled + 4] = units.value[field], units.changed[field]
    journaled = journaled + 4
  end
  units.value[field] = value
  units.changed[field] = value
end

local function units_add(units, field, delta)
  units_set(units, field, units_get(units, field) + delta)
end

-- What is read of a quota with its product: enough for a hold. A script that needs more says so before it begins.
local quota_kinds = {'u', 'l'}

-- The quotas of a product with their counters loaded: a list of ids as text.
local function units_quotas(units, product)
  local list = units.quotas[product]
  if list then return list end
  list = {}
  local text = units.value['q' .. product]
  if text == nil then text = redis.call('HGET', units.key, 'q' .. product) end
  local fields = {}
  for id in string.gmatch(text or '', '%d+') do
    list[#list + 1] = id
    for _, kind in ipairs(quota_kinds) do fields[#fields + 1] = kind .. id end
  end
  units_load(units, fields)
  units.quotas[product] = list
  return list
end

-- Moves `delta` units of a product in or out of one state, and of its quotas with it. What has left again (x) gives its
-- unit back where the quota says so.
local function units_move(units, product, state, delta)
  units_add(units, state .. product, delta)
  for _, quota in ipairs(units_quotas(units, product)) do
    if state == 'x' then
      if units_get(units, 'e' .. quota) == 1 then
        units_add(units, 'u' .. quota, -delta)
        units_add(units, 'c' .. quota, -delta)
      end
    else
      if state ~= 'd' then units_add(units, 'u' .. quota, delta) end
      if state ~= 'h' and state ~= 'w' then units_add(units, 'c' .. quota, delta) end
    end
  end
end

-- Is there room for `count` more in the quota? Unlimited is -1; closed (-2) has room for nothing.
local function units_room(units, quota, count)
  local limit = units_get(units, 'l' .. quota)
  return limit == -1 or units_get(units, 'u' .. quota) + count <= limit
end

local function units_write()
  for _, units in pairs(opened) do
    local pairs_list = {}
    for field, value in pairs(units.changed) do
      pairs_list[#pairs_list + 1] = field
      pairs_list[#pairs_list + 1] = value
    end
    for first = 1, #pairs_list, 4000 do
      redis.call('HSET', units.key, unpack(pairs_list, first, math.min(first + 3999, #pairs_list)))
    end
    units.changed = {}
  end
end
