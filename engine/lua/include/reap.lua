-- Releases holds whose deadline has passed, and what expired vouchers have kept free: at most `most` of the shard, oldest
-- first. Units go back to the counters in memory (units_write makes it so), seats at once; the hold stays listed as
-- expired until the purge. Returns whether more are due.
local function reap(due_key, now, most, listed_ms)
  local members = redis.call('ZRANGEBYSCORE', due_key, '-inf', '(' .. now, 'LIMIT', 0, most + 1)
  local prefix = string.sub(due_key, 1, -4)
  for i = 1, math.min(#members, most) do
    local event, kind, id = string.match(members[i], '^(%d+):(v?)(%d+)$')
    local holds_key = prefix .. 'holds:' .. event
    local units = units_open(prefix .. 'event:' .. event)
    local hold = kind == '' and hold_find(holds_key, id)
    redis.call('ZREM', due_key, members[i])
    if kind == '' and not hold then
      -- a hold that is due and not listed was lost, and nobody can tell what it took: without its version the event is
      -- taken for lost, and counted anew
      redis.call('HDEL', units.key, 'v')
    elseif kind == 'v' then
      local again = vouchers_expire(units, id, now)
      if again then redis.call('ZADD', due_key, again, members[i]) end
    elseif hold and hold.state == 'H' then
      -- without its version an event is lost and about to be rebuilt from what is listed: nothing to give back to
      if units_get(units, 'v') > 0 then hold_end(units, hold) end
      hold_leave(due_key, event, hold)
      hold.state = 'E'
      redis.call('ZREMRANGEBYSCORE', holds_key, id, id)
      redis.call('ZADD', holds_key, id, hold_pack(hold))
      redis.call('ZADD', prefix .. 'purge', now + listed_ms, members[i])
    end
  end
  return #members > most
end
