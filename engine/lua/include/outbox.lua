-- Entries of the outbox. Each says the id of the one before it (`after`): a drain that has not read that one knows that
-- somebody has taken it out. The newest is kept as `last` of the shard; where there is none (an outbox that an earlier
-- version wrote) the first entry follows on nothing.
local outbox_last

-- Adds an entry. Whoever calls this has read `outbox_last`, and writes it. Returns the entry's id, false if the outbox
-- itself is gone.
local function outbox_append(outbox_key, ...)
  local entry
  if outbox_last then
    entry = redis.call('XADD', outbox_key, 'NOMKSTREAM', '*', 'after', outbox_last, ...)
  else
    entry = redis.call('XADD', outbox_key, 'NOMKSTREAM', '*', ...)
  end
  if entry then outbox_last = entry end
  return entry
end
