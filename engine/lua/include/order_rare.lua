-- What few orders need of order_commit.lua: the functions of `made`. They know all that stands there before them.
made = {}
units.quota, units.quotas, opened[event_key] = {}, {}, units
quota_kinds = {'u', 'l', 'c', 'f'}
local seats = seats_key(due_key, event)
local more_due

-- Releases what is due: that stays so, whatever becomes of the orders.
function made.release()
  more_due = reap(due_key, now, 8, listed_ms) and reap(due_key, now, 64, listed_ms)
  units_write()
end

function made.ours(reply)
  return reply_ours(reply.key, reply[1])
end

-- What has left again gives its unit back where the quota says so.
function made.count_exit(counted, id, delta)
  if units_get(units, 'e' .. id) ~= 1 then return end
  local n = #counted
  counted[n + 1], counted[n + 2], counted[n + 3], counted[n + 4] = 'u' .. id, -delta, 'c' .. id, -delta
end

function made.move_use(voucher, state, delta)
  vouchers_move(units, voucher, state, delta)
end

function made.use_vouchers(vouchers, sign)
  for i = 1, #vouchers, 5 do
    vouchers_move(units, vouchers[i], 'r', sign * vouchers[i + 1])
    if vouchers[i + 3] ~= 0 then units_add(units, 'y' .. vouchers[i], sign * vouchers[i + 3]) end
  end
end

-- Looks whether vouchers are used too often now, or take off too much; returns what is wrong with that, if anything.
function made.find_vouchers(vouchers)
  local lacking, overspent = {}, {}
  for i = 1, #vouchers, 5 do
    local voucher, delta, max, amount, budget = unpack(vouchers, i, i + 4)
    local beyond = units_get(units, 'r' .. voucher) + units_get(units, 't' .. voucher) - max
    if delta > 0 and beyond > 0 then
      lacking[#lacking + 1] = tonumber(voucher)
      lacking[#lacking + 1] = math.min(beyond, delta)
    end
    if amount > 0 and budget and units_get(units, 'y' .. voucher) > budget then
      overspent[#overspent + 1] = tonumber(voucher)
    end
  end
  if #lacking > 0 then
    if more_due then return {'again'} end
    return {'used_up', unpack(lacking)}
  end
  if #overspent > 0 then return {'overspent', unpack(overspent)} end
end

-- Looks whether seats can change hands, to an order that takes over the holds from `first` on; returns what is wrong
-- with that, if anything, and notes the marks of the seats.
function made.find_seats(wanted, first)
  local taken = {}
  if redis.call('HEXISTS', seats, 'v') == 0 then return {'unknown_seats'} end
  wanted.marks = {}
  for i = 1, #wanted, 4 do
    local field, from, to, voucher = unpack(wanted, i, i + 3)
    if to ~= '0' then
      local has, mark = seat_parts(redis.call('HGET', seats, field) or '')
      wanted.marks[field] = mark
      local hold = has and string.sub(has, 1, 1) == 'h' and event .. ':' .. string.sub(has, 2)
      local credited = hold and (taken_over[hold] or 0) >= first
      local open = (has == 'free' or credited) and seat_opens(units, mark, voucher, now)
      -- an order that has a seat may pass it on, even one that was blocked since
      if not open and not (has and has == 'o' .. from) then taken[#taken + 1] = field end
    end
  end
  if #taken > 0 then
    if more_due then return {'again'} end
    return {'seats_taken', unpack(taken)}
  end
end

local function add_used(quotas, delta)
  for _, quota in ipairs(quotas) do units_add(units, quota.u, delta) end
end

-- Names the entries that have no room, and the first quota of each that lacks it: takes all out again in memory, and
-- deals one after the other.
function made.find_short(kind)
  if more_due then return {'again'} end
  local short, needs = {}, {unpack(kind, 3 + 3 * kind[2])}
  for _, product in ipairs(needs) do add_used(units_quotas(units, product), -1) end
  for i, product in ipairs(needs) do
    local quotas, lacking = units_quotas(units, product), nil
    if #quotas == 0 then lacking = '0' end
    for _, quota in ipairs(quotas) do
      if not lacking and not units_room(units, quota, 1) then lacking = quota.id end
    end
    if lacking then
      short[#short + 1] = i - 1
      short[#short + 1] = tonumber(lacking)
    else
      add_used(quotas, 1)
    end
  end
  for i = 1, #short, 2 do add_used(units_quotas(units, needs[short[i] + 1]), 1) end
  return {'sold_out', unpack(short)}
end

local function settle_quotas(product, mode)
  for _, quota in ipairs(units_quotas(units, product)) do
    local size = units_get(units, 's' .. quota.id)
    if size >= 0 then
      local beyond = units_get(units, quota.u) - size
      if beyond > 0 and mode ~= 'commit' and beyond > units_get(units, 'a' .. quota.id) then
        units_set(units, 'a' .. quota.id, beyond)
        outbox_append(outbox_key, 'kind', 'quota_allowance', 'id', quota.id, 'v', beyond)
      end
      if units_get(units, quota.f) == 1 and units_get(units, quota.l) ~= -2 and units_get(units, quota.c) >= size then
        units_set(units, quota.l, -2)
        outbox_append(outbox_key, 'kind', 'quota_closed', 'id', quota.id, 'v', units_get(units, 'k' .. quota.id))
      end
    end
  end
end

-- Records what somebody has allowed beyond a quota's size, and closes quotas that are sold out and shall be.
function made.settle(kind, vouchers)
  local mode, touched = kind[1], {}
  for m = 3, 2 + 3 * kind[2], 3 do touched[#touched + 1] = kind[m] end
  for i = 1, #vouchers, 5 do
    local reserve = vouchers_reserve(units, vouchers[i])
    if reserve and vouchers[i + 1] < 0 then
      -- what an order gives up that had expired before is kept free again, sold or not
      touched[#touched + 1] = reserve.product
      if mode == 'commit' then mode = 'admit' end
    end
  end
  for _, product in ipairs(touched) do settle_quotas(product, mode) end
end

-- Writes an order with an entry of its own, so that Postgres gets it with its split and its reply, or none of them.
-- Returns false if there is no outbox.
function made.write_alone(i, key, becomes, document, more)
  local split, reply, told = more.split, more.reply, {}
  if split then told = {'split_id', split[1], 'split_d', split[2], 'split_key', split.key} end
  if reply then
    for _, word in ipairs({'reply', reply[2], 'reply_key', reply.key,
      'reply_request', redis.call('HGET', reply.key, 'request')}) do told[#told + 1] = word end
  end
  local entry = outbox_append(outbox_key, 'kind', becomes == '-1' and 'order_deleted' or 'order', 'id', more.id,
    'v', becomes, 'd', document, 'key', key, unpack(told))
  if not entry then return false end
  write(key, becomes, document)
  if split then
    redis.call('HSET', split.key, 'v', '1', 'd', split[2])
    versions[split.key] = '1'
  end
  if reply then reply_keep(reply.key, reply[2], {entry, epoch, more.id, becomes}, reply[3]) end
  answer[i + 2] = entry
  return true
end

-- Gives back the seats of the holds from `first` on that an order has taken over, and lets it pass on others.
function made.pass_seats(first, passed)
  for n = first, #members do
    if special and special[n] then hold_leave(due_key, event, special[n]) end
  end
  for i = 1, #passed, 4 do
    local field, from, to = unpack(passed, i, i + 2)
    if to == '0' then
      seat_free(seats, field, 'o' .. from)
    else
      redis.call('HSET', seats, field, 'o' .. to .. passed.marks[field])
    end
  end
end
