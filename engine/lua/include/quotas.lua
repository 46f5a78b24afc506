-- Makes a quota live: limit and flags, with every counter derived from the products' own counts. `at` is the first of the
-- arguments: id, size or -1, closed 0|1, version of the last word on `closed`, close_when_sold_out 0|1,
-- release_after_exit 0|1, allowance, number of products, products. Returns where the next argument is. Whoever makes a
-- quota smaller than what is used allows the difference: with `outbox_key` it is recorded.
local function quota_apply(units, at, outbox_key)
  local quota, size, closed, word = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], tonumber(ARGV[at + 3])
  local product_count = tonumber(ARGV[at + 7])
  -- an older word on `closed` must not undo that the quota has closed itself since
  if units_get(units, 'k' .. quota) >= word then closed = units_get(units, 'l' .. quota) == -2 and '1' or '0' end
  units_set(units, 'k' .. quota, math.max(word, units_get(units, 'k' .. quota)))
  local used, committed = 0, 0
  for p = at + 8, at + 7 + product_count do
    local product = ARGV[p]
    local fields = {'h' .. product, 'n' .. product, 'p' .. product, 'b' .. product, 'w' .. product, 'x' .. product,
      'd' .. product}
    units_load(units, fields)
    local firm = units_get(units, 'n' .. product) + units_get(units, 'p' .. product) + units_get(units, 'b' .. product)
    if ARGV[at + 5] == '1' then firm = firm - units_get(units, 'x' .. product) end
    committed = committed + firm + units_get(units, 'd' .. product)
    used = used + firm + units_get(units, 'h' .. product) + units_get(units, 'w' .. product)
  end
  if ARGV[at + 4] == '1' and size >= 0 and committed >= size and closed == '0' then
    closed = '1'
    if outbox_key then
      outbox_add(outbox_key, 'kind', 'quota_closed', 'id', quota, 'v', units_get(units, 'k' .. quota))
    end
  end
  local allowance = math.max(units_get(units, 'a' .. quota), tonumber(ARGV[at + 6]))
  if outbox_key and size >= 0 and used - size > allowance then
    allowance = used - size
    outbox_add(outbox_key, 'kind', 'quota_allowance', 'id', quota, 'v', allowance)
  end
  units_set(units, 'a' .. quota, allowance)
  units_set(units, 'u' .. quota, used)
  units_set(units, 'c' .. quota, committed)
  units_set(units, 's' .. quota, size)
  units_set(units, 'l' .. quota, closed == '1' and -2 or size)
  units_set(units, 'f' .. quota, tonumber(ARGV[at + 4]))
  units_set(units, 'e' .. quota, tonumber(ARGV[at + 5]))
  return at + 8 + product_count
end

-- What an event has of each quota beside the version of the last word on `closed`, which outlives it.
local quota_fields = {'u', 'c', 's', 'l', 'f', 'e', 'a'}

-- Makes all of an event's quotas live, and which products they cover. `at` is the first of the arguments: number of
-- quotas, then each as quota_apply takes it.
local function quotas_apply(units, at, outbox_key)
  local known = {}
  for _, field in ipairs(redis.call('HKEYS', units.key)) do
    local kind = string.sub(field, 1, 1)
    if kind == 'q' or kind == 'u' or kind == 'c' or kind == 'l' or kind == 'f' or kind == 'e' or kind == 's'
      or kind == 'a' then
      known[field] = true
    end
  end
  local covered, count = {}, tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do
    local quota, after = ARGV[at], quota_apply(units, at, outbox_key)
    for p = at + 8, after - 1 do
      local product = ARGV[p]
      covered[product] = (covered[product] and covered[product] .. ',' or '') .. quota
    end
    for _, kind in ipairs(quota_fields) do known[kind .. quota] = nil end
    at = after
  end
  for product, quotas in pairs(covered) do
    units_set(units, 'q' .. product, quotas)
    known['q' .. product] = nil
  end
  for field in pairs(known) do redis.call('HDEL', units.key, field) end
end
