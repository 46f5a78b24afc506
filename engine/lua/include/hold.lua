-- One hold as one member of the event's `holds` set: id|state|product|created|deadline|cart|seat|voucher|parent|payload.
-- state is H while what it took is taken and E once it has expired. cart and seat are percent-encoded, so they have no
-- bar; seat is empty, voucher and parent (the id of the hold that it belongs to) are 0 where there is none.
local function hold_member(id, state, product, created, deadline, cart, seat, voucher, parent, payload)
  return id .. '|' .. state .. '|' .. product .. '|' .. created .. '|' .. deadline .. '|' .. cart .. '|' .. seat .. '|'
    .. voucher .. '|' .. parent .. '|' .. payload
end

local function hold_pack(hold)
  return hold_member(hold.id, hold.state, hold.product, hold.created, hold.deadline, hold.cart, hold.seat, hold.voucher,
    hold.parent, hold.payload)
end

local function hold_unpack(member)
  local id, state, product, created, deadline, cart, seat, voucher, parent, payload =
    string.match(member, '^(%d+)|(%a)|([%d%.]+)|(%d+)|(%-?%d+)|([^|]*)|([^|]*)|(%d+)|(%d+)|(.*)$')
  return {id = id, state = state, product = product, created = created, deadline = deadline, cart = cart, seat = seat,
    voucher = voucher, parent = parent, payload = payload}
end

-- Takes in memory what a hold takes, but for its seat, or gives it back (sign -1).
local function hold_move(units, hold, sign)
  units_move(units, hold.product, 'h', sign)
  if hold.voucher ~= '0' then vouchers_move(units, hold.voucher, 't', sign) end
end

-- Gives back in memory what a hold has taken, but for its seat, if it has not been given back before.
local function hold_end(units, hold)
  if hold.state == 'H' then hold_move(units, hold, -1) end
end

local function hold_find(holds_key, id)
  local found = redis.call('ZRANGEBYSCORE', holds_key, id, id)
  if #found == 0 then return nil end
  return hold_unpack(found[1])
end

-- A hold and those that belong to it: made together, so that their ids follow its own with none of others between.
local function hold_family(holds_key, hold)
  local family, at = {hold}, hold.id
  while at do
    local members = redis.call('ZRANGEBYSCORE', holds_key, '(' .. at, '+inf', 'LIMIT', 0, 10)
    at = nil
    for _, member in ipairs(members) do
      local child = hold_unpack(member)
      if child.parent ~= hold.id then return family end
      family[#family + 1] = child
      at = child.id
    end
  end
  return family
end

-- Gives back the seat of a hold, if it still has it.
local function hold_leave(due_key, event, hold)
  if hold.seat ~= '' then seat_free(seats_key(due_key, event), seat_field(hold.product, hold.seat), 'h' .. hold.id) end
end

-- The place of a hold among the carts: carts in order, and within a cart by id. A space sorts before all that a cart's
-- encoded name may have, so that c1 comes before c10.
local function cart_member(cart, id)
  return cart .. ' ' .. string.format('%015d', id)
end

-- The id of the hold with that place.
local function cart_hold(member)
  return tonumber(string.sub(member, -15))
end
