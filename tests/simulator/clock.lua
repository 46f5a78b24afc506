-- Stands before each script when it is simulated: the clock, and all that hangs on it, is the simulator's.
--   sim:now  what the clock shows, ms
--   sim:ttl  keys that have an end of life, by its ms; the simulator lets them go
local redis = (function(real)
  local now = tonumber(real.call('GET', 'sim:now'))
  local function call(command, ...)
    if command == 'TIME' then return {string.format('%.0f', math.floor(now / 1000)), string.format('%.0f', now % 1000 * 1000)} end
    if command == 'PEXPIRE' then
      local key, ttl = ...
      return real.call('ZADD', 'sim:ttl', string.format('%.0f', now + tonumber(ttl)), key)
    end
    if command == 'PERSIST' then return real.call('ZREM', 'sim:ttl', ...) end
    if command == 'DEL' then real.call('ZREM', 'sim:ttl', ...) end
    local arguments = {...}
    local at = arguments[2] == 'NOMKSTREAM' and 3 or 2
    if command == 'XADD' and arguments[at] == '*' then
      -- as the server does it: never before the last one, whatever the clock says
      local ms = now
      if real.call('EXISTS', arguments[1]) == 1 then
        local info = real.call('XINFO', 'STREAM', arguments[1])
        for i = 1, #info, 2 do
          if info[i] == 'last-generated-id' then ms = math.max(ms, tonumber(string.match(info[i + 1], '^%d+'))) end
        end
      end
      arguments[at] = string.format('%.0f-*', ms)
      return real.call('XADD', unpack(arguments))
    end
    return real.call(command, ...)
  end
  return {call = call}
end)(redis)
