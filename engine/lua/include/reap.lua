-- Releases holds whose deadline has passed: at most `most` of the shard, oldest first. Units go back to the counters in
-- memory (units_write makes it so); the hold stays listed as expired until the purge. Returns whether more are due.
local function reap(due_key, now, most, listed_ms)
  local members = redis.call('ZRANGEBYSCORE', due_key, '-inf', '(' .. now, 'LIMIT', 0, most + 1)
  local prefix = string.sub(due_key, 1, -4)
  for i = 1, math.min(#members, most) do
    local event, id = string.match(members[i], '^(%d+):(%d+)$')
    local holds_key = prefix .. 'holds:' .. event
    local hold = hold_find(holds_key, id)
    redis.call('ZREM', due_key, members[i])
    if hold and hold.state == 'H' then
      local units = units_open(prefix .. 'event:' .. event)
      -- without its version an event is lost and about to be rebuilt from what is listed: nothing to give back to
      if units_get(units, 'v') > 0 then units_move(units, hold.product, 'h', -1) end
      hold.state = 'E'
      redis.call('ZREMRANGEBYSCORE', holds_key, id, id)
      redis.call('ZADD', holds_key, id, hold_pack(hold))
      redis.call('ZADD', prefix .. 'purge', now + listed_ms, members[i])
    end
  end
  return #members > most
end
