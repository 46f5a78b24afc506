-- Uses of vouchers. Fields of the event hash (V is a voucher's id):
--   r<V>  uses redeemed by orders
--   t<V>  uses taken by carts
--   y<V>  what pending and paid orders have got off their prices, in hundredths
--   g<V>  what a voucher keeps free until it expires: max usages, ms until which it is valid or empty, product; joined
--         by commas. Of the unused usages each keeps one unit free (state b of the product); of those that carts have
--         taken the unit is held already, and they are counted beside (state d).
local function vouchers_reserve(units, voucher)
  local text = units_get(units, 'g' .. voucher)
  if text == 0 then return nil end
  local max, till, product = string.match(text, '^(%d+),(%d*),([%d%.]+)$')
  return {max = tonumber(max), till = tonumber(till), product = product}
end

-- Counts what a reserve keeps free, by how often its voucher was used: once (sign 1), or not any more (sign -1).
local function vouchers_count(units, voucher, reserve, sign)
  if not reserve then return end
  local taken = units_get(units, 't' .. voucher)
  local free = math.max(0, reserve.max - units_get(units, 'r' .. voucher) - taken)
  if free > 0 then units_move(units, reserve.product, 'b', sign * free) end
  if taken > 0 then units_move(units, reserve.product, 'd', sign * taken) end
end

-- Moves uses of a voucher in or out of one state: r redeemed by orders, t taken by carts.
local function vouchers_move(units, voucher, state, delta)
  local reserve = vouchers_reserve(units, voucher)
  vouchers_count(units, voucher, reserve, -1)
  units_add(units, state .. voucher, delta)
  vouchers_count(units, voucher, reserve, 1)
end

-- Makes live what vouchers keep free and how many wait for a product. `at` is the first of the arguments: number of
-- vouchers, then for each: id, max usages, ms until which it is valid or empty, product; then number of products that are
-- waited for, then for each: product, how many wait. Returns where the next argument is. The quotas' counters are not
-- moved: quotas_apply derives them anew.
local function vouchers_apply(units, at, now, due_key, event)
  for _, field in ipairs(redis.call('HKEYS', units.key)) do
    if string.match(field, '^[bdw]%d+%.') then units_set(units, field, 0) end
    if string.match(field, '^g%d') then
      units.value[field] = false
      redis.call('HDEL', units.key, field)
    end
  end
  for i = at + 1, at + 4 * tonumber(ARGV[at]), 4 do
    local voucher, max, till, product = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
    if till == '' or tonumber(till) >= now then
      local taken = units_get(units, 't' .. voucher)
      units_add(units, 'b' .. product, math.max(0, max - units_get(units, 'r' .. voucher) - taken))
      units_add(units, 'd' .. product, taken)
      units_set(units, 'g' .. voucher, string.format('%d,%s,%s', max, till, product))
      if till ~= '' then redis.call('ZADD', due_key, till, event .. ':v' .. voucher) end
    end
  end
  at = at + 4 * tonumber(ARGV[at]) + 1
  for i = at + 1, at + 2 * tonumber(ARGV[at]), 2 do units_set(units, 'w' .. ARGV[i], tonumber(ARGV[i + 1])) end
  return at + 2 * tonumber(ARGV[at]) + 1
end

-- Lets a reserve go whose voucher has expired by `now`; returns when to ask again if it has not.
local function vouchers_expire(units, voucher, now)
  local reserve = vouchers_reserve(units, voucher)
  if not reserve or not reserve.till then return nil end
  if reserve.till >= now then return reserve.till end
  vouchers_count(units, voucher, reserve, -1)
  units.value['g' .. voucher] = false
  redis.call('HDEL', units.key, 'g' .. voucher)
  return nil
end
