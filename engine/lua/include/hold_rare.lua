-- What few calls need of hold_create.lua: the functions of `made`. They know all that stands there before them.
made = {}
opened[event_key] = units

function made.ours()
  return reply_ours(reply_key, owner)
end

function made.keep(told)
  reply_keep(reply_key, reply, told, keep_ms)
end

-- Releases what is due: that stays so, whatever becomes of this request. Returns whether there is more.
function made.release(most)
  local more_due = reap(due_key, now, most, listed_ms)
  units_write()
  return more_due
end

-- Deals a group its seats. Returns the first one that it cannot have.
local function deal_seats(at, last)
  for i = at, last, 8 do
    local field = seat_fields[i]
    if field then
      local has, mark = seat_parts(seat_values[field] or '')
      if has ~= 'free' or not seat_opens(units, mark, groups[i + 4], now) then return 'seat:' .. field end
      if seats_dealt[field] then return 'seat:' .. field end
      seats_dealt[field] = at
    end
  end
end

local function undeal_seats(at, last)
  for i = at, last, 8 do
    local field = seat_fields[i]
    if field and seats_dealt[field] == at then seats_dealt[field] = nil end
  end
end

-- Returns the first voucher that cannot be used as often as a group wants to.
local function find_spent(at, last)
  local uses = {}
  for i = at, last, 8 do
    local voucher = groups[i + 4]
    if voucher ~= '0' then
      uses[voucher] = (uses[voucher] or 0) + 1
      local used = units_get(units, 'r' .. voucher) + units_get(units, 't' .. voucher)
      if used + uses[voucher] > groups[i + 5] then return 'voucher:' .. voucher end
    end
  end
end

-- Returns the first quota that has no room for all that a group asks of it.
local function find_full(at, last)
  local needed, order = {}, {}
  for i = at, last, 8 do
    local quotas = groups[i + 6] == 1 and {} or units_quotas(units, kinds[groups[i]].product)
    for q = 1, #quotas do
      local quota = quotas[q]
      if not needed[quota] then order[#order + 1] = quota end
      needed[quota] = (needed[quota] or 0) + 1
    end
  end
  for q = 1, #order do
    if not units_room(units, order[q], needed[order[q]]) then return order[q].id end
  end
end

-- As take_all, of any group.
function made.take_all(at, last, is_late)
  local lacks = deal_seats(at, last) or find_spent(at, last) or find_full(at, last)
  if lacks or is_late then
    undeal_seats(at, last)
    return lacks
  end
  for i = at, last, 8 do
    units_move(units, kinds[groups[i]].product, 'h', 1)
    if groups[i + 4] ~= '0' then vouchers_move(units, groups[i + 4], 't', 1) end
  end
end

-- Records by how much a group goes beyond the sizes of its quotas: a voucher has allowed it.
function made.allow_beyond(at, last)
  for i = at, last, 8 do
    for _, quota in ipairs(units_quotas(units, kinds[groups[i]].product)) do
      local size = units_get(units, 's' .. quota.id)
      local beyond = units_get(units, quota.u) - size
      if size >= 0 and beyond > units_get(units, 'a' .. quota.id) then
        units_set(units, 'a' .. quota.id, beyond)
        outbox_add(string.sub(due_key, 1, -4) .. 'outbox', 'kind', 'quota_allowance', 'id', quota.id, 'v', beyond)
      end
    end
  end
end
