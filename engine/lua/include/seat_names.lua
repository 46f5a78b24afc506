-- The key of an event's seats (include/seats.lua), and the field of one there.
local function seats_key(due_key, event)
  return string.sub(due_key, 1, -4) .. 'seats:' .. event
end

local function seat_field(product, seat)
  return string.match(product, '%d+$') .. '.' .. seat
end
