-- Adds an entry to the outbox, with the id of the one before it (`after`): a drain that has not read that one knows that
-- somebody has taken it out. The newest is kept as `last` of the shard; where there is none (an outbox that an earlier
-- version wrote) the first entry follows on nothing. Returns the entry's id, false if the outbox itself is gone.
local outbox_last

local function outbox_add(outbox_key, ...)
  local shard_key = string.sub(outbox_key, 1, -7) .. 'shard'
  if outbox_last == nil then outbox_last = redis.call('HGET', shard_key, 'last') end
  local entry
  if outbox_last then
    entry = redis.call('XADD', outbox_key, 'NOMKSTREAM', '*', 'after', outbox_last, ...)
  else
    entry = redis.call('XADD', outbox_key, 'NOMKSTREAM', '*', ...)
  end
  if entry then
    outbox_last = entry
    redis.call('HSET', shard_key, 'last', entry)
  end
  return entry
end
