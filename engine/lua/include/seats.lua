-- The seats of an event, a hash beside the event's own, changed at once and not in memory. Fields:
--   v  version of the catalogue whose seats are all here; w the version that is being brought in
--   S  (subevent.guid, the guid percent-encoded): who has the seat, free | h<hold id> | o<order id>; then |b if it is
--      blocked, or |v<voucher id> if only that voucher opens it, with a comma and the ms until which that is so, if any

-- Who has a seat, and its mark.
local function seat_parts(value)
  return string.match(value, '^(%w+)(.*)$')
end

-- What stands for a seat once `owner` has it.
local function seat_value(owner, before)
  if before == 'free' then return owner end
  local _, mark = seat_parts(before)
  return owner .. mark
end

-- May somebody with this voucher (0: none) take a seat with this mark? A voucher that was redeemed keeps none.
local function seat_opens(units, mark, voucher, now)
  if mark == '' then return true end
  local id, till = string.match(mark, '^|v(%d+),?(%d*)$')
  return id ~= nil and (id == voucher or (till ~= '' and tonumber(till) < now) or units_get(units, 'r' .. id) > 0)
end

-- Gives a seat back, if `owner` is the one who has it.
local function seat_free(key, field, owner)
  local value = redis.call('HGET', key, field)
  if not value then return end
  local has, mark = seat_parts(value)
  if has == owner then redis.call('HSET', key, field, 'free' .. mark) end
end
