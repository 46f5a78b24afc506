-- Entries of the outbox. Each says the id of the one before it (`after`): a drain that has not read that one knows that
-- somebody has taken it out. The newest is kept as `last` of the shard; where there is none (an outbox that an earlier
-- version wrote) the first entry follows on nothing.
local outbox_last, outbox_added

-- Adds an entry to those that outbox_write makes known; `outbox_last` has been read. Returns the entry's id, false if the
-- outbox itself is gone.
local function outbox_append(outbox_key, ...)
  local entry
  if outbox_last then
    entry = redis.call('XADD', outbox_key, 'NOMKSTREAM', '*', 'after', outbox_last, ...)
  else
    entry = redis.call('XADD', outbox_key, 'NOMKSTREAM', '*', ...)
  end
  if entry then outbox_last, outbox_added = entry, true end
  return entry
end

local function outbox_write(shard_key)
  if outbox_added then redis.call('HSET', shard_key, 'last', outbox_last) end
end

-- Adds an entry by itself.
local function outbox_add(outbox_key, ...)
  local shard_key = string.sub(outbox_key, 1, -7) .. 'shard'
  if outbox_last == nil then outbox_last = redis.call('HGET', shard_key, 'last') end
  local entry = outbox_append(outbox_key, ...)
  outbox_write(shard_key)
  return entry
end
