-- Reads many fields at once, what can be a number as a number; a field that is missing is false. unpack is bounded by
-- Lua's stack: 4,000 values at a time stay far below it.
local function units_load(units, fields)
  local value = units.value
  for first = 1, #fields, 4000 do
    local last = math.min(first + 3999, #fields)
    local got = redis.call('HMGET', units.key, unpack(fields, first, last))
    for i = first, last do
      local field, text = fields[i], got[i - first + 1]
      if value[field] == nil then value[field] = tonumber(text) or text end
    end
  end
end
