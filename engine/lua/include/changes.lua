-- Takes a field away, whatever has been written of it in memory.
local function units_forget(units, field)
  units.value[field], units.was[field] = false, nil
  redis.call('HDEL', units.key, field)
end

-- Makes live what has changed of an event's catalogue. `at` is the first of the arguments: number of vouchers that keep
-- nothing free any more, their ids; number of vouchers that keep something else free, each as include/vouchers.lua says;
-- number of products, for each: product, how many wait for it now; number of quotas that are gone, their ids; number of
-- quotas of which a counter or anything else may be different, each as quota_apply takes it; number of products that
-- other quotas cover, for each: product, ids of its quotas joined by commas.
local function changes_apply(units, at, now, due_key, event, outbox_key)
  local function each(words, change)
    local last = at + words * tonumber(ARGV[at])
    for i = at + 1, last, words do change(ARGV[i], i) end
    at = last + 1
  end
  local function keep_nothing(voucher)
    vouchers_count(units, voucher, vouchers_reserve(units, voucher), -1)
    units_forget(units, 'g' .. voucher)
  end

  each(1, keep_nothing)
  each(4, function(voucher, i)
    local max, till, product = tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3]
    keep_nothing(voucher)
    if till == '' or tonumber(till) >= now then
      units_set(units, 'g' .. voucher, string.format('%d,%s,%s', max, till, product))
      vouchers_count(units, voucher, vouchers_reserve(units, voucher), 1)
      if till ~= '' then redis.call('ZADD', due_key, till, event .. ':v' .. voucher) end
    end
  end)
  each(2, function(product, i)
    units_move(units, product, 'w', tonumber(ARGV[i + 1]) - units_get(units, 'w' .. product))
  end)
  each(1, function(quota)
    for _, kind in ipairs(quota_fields) do units_forget(units, kind .. quota) end
  end)
  local count = tonumber(ARGV[at])
  at = at + 1
  for _ = 1, count do at = quota_apply(units, at, outbox_key) end
  each(2, function(product, i)
    if ARGV[i + 1] == '' then units_forget(units, 'q' .. product) else units_set(units, 'q' .. product, ARGV[i + 1]) end
  end)
end
