-- Stands before each script when it is simulated: the clock, and all that hangs on it, is the simulator's.
--   sim:now  what the clock shows, ms
--   sim:ttl  keys that have an end of life, by its ms; the simulator lets them go
local redis = (function(real)
  local now = tonumber(real.call('GET', 'sim:now'))
  local function added(arguments)
    local at = arguments[2] == '*' and 2 or 3
    arguments[at] = string.format('%.0f-*', now)
    local id = real.pcall('XADD', unpack(arguments))
    if type(id) ~= 'table' then return id end
    -- as the server does it: never before the last one, whatever the clock says
    local info = real.call('XINFO', 'STREAM', arguments[1])
    for i = 1, #info, 2 do
      if info[i] == 'last-generated-id' then arguments[at] = string.match(info[i + 1], '^%d+') .. '-*' end
    end
    return real.call('XADD', unpack(arguments))
  end
  local function call(command, ...)
    if command == 'TIME' then return {string.format('%.0f', math.floor(now / 1000)), string.format('%.0f', now % 1000 * 1000)} end
    if command == 'PEXPIRE' then
      local key, ttl = ...
      return real.call('ZADD', 'sim:ttl', string.format('%.0f', now + tonumber(ttl)), key)
    end
    if command == 'PERSIST' then return real.call('ZREM', 'sim:ttl', ...) end
    if command == 'DEL' then real.call('ZREM', 'sim:ttl', ...) end
    if command == 'XADD' then
      local arguments = {...}
      if arguments[2] == '*' or arguments[3] == '*' then return added(arguments) end
    end
    return real.call(command, ...)
  end
  return {call = call}
end)(redis)
