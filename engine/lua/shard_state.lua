-- Tells what a shard believes: for the drain and for the fence.
--
-- KEYS   1 shard, 2 outbox
-- ARGV   none
-- STATUS ok
-- RETURNS ok, epoch (-1: none), epoch of a verification that has found the shard whole and may have ended there (-1: none,
--        or somebody has emptied the server since), last id ever given to an outbox entry (0-0: none)
-- WRITES nothing
-- COST   O(1)
local epoch, next_epoch = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'next'))
local last = '0-0'
if redis.call('EXISTS', KEYS[2]) == 1 then
  local info = redis.call('XINFO', 'STREAM', KEYS[2])
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
return {'ok', tonumber(epoch or -1), tonumber(epoch and next_epoch or -1), last}
