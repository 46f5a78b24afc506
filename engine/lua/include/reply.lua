-- The reply of a request with an idempotency key, kept by the script that does the work, so that both happen or neither.
-- A working script gets the key of the reply as the last of KEYS, or not at all. Fields:
--   request  fingerprint of the request that came first
--   owner    who works on it; gone once there is a reply
--   reply    what to answer, as the front door wrote it
--   decided  what the working script decided, as words: the front door fills it in or waits for it; may be empty
local function reply_ours(key, owner)
  return not key or redis.call('HGET', key, 'owner') == owner
end

local function reply_keep(key, reply, decided, keep_ms)
  if not key then return end
  local words = {}
  for i, value in ipairs(decided) do
    -- a number made text by Lua itself keeps 14 digits, and a deadline may have 15
    words[i] = type(value) == 'number' and string.format('%.0f', value) or value
  end
  redis.call('HSET', key, 'reply', reply, 'decided', table.concat(words, ' '))
  redis.call('HDEL', key, 'owner')
  redis.call('PEXPIRE', key, keep_ms)
end
