-- Adds an entry to the outbox by itself; returns as outbox_append does.
local function outbox_add(outbox_key, ...)
  local shard_key = string.sub(outbox_key, 1, -7) .. 'shard'
  if outbox_last == nil then outbox_last = redis.call('HGET', shard_key, 'last') end
  local entry = outbox_append(outbox_key, ...)
  if entry then redis.call('HSET', shard_key, 'last', entry) end
  return entry
end
