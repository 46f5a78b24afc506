-- Gives a verified shard its epoch, and sees to it that outbox ids go on from where Postgres is.
--
-- KEYS   1 shard, 2 outbox
-- ARGV   1 epoch
--        2 id that the next entry has to be greater than
--        3 1 if the shard has been rebuilt, else 0
-- STATUS older    the shard has a higher epoch: who asks has stood still, and somebody else has verified it since
--        emptied  somebody has emptied the server since the shard was found whole, or rebuilt under this epoch
--        ok
-- RETURNS status
-- WRITES shard, outbox
-- COST   O(1)
--#include now_ms

local epoch, rebuilding = unpack(redis.call('HMGET', KEYS[1], 'epoch', 'rebuilding'))
if tonumber(epoch or 0) > tonumber(ARGV[1]) then return {'older'} end
if ARGV[3] == '1' and rebuilding ~= ARGV[1] then return {'emptied'} end
if ARGV[3] == '0' and not epoch then return {'emptied'} end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
redis.call('HDEL', KEYS[1], 'next', 'rebuilding')
if ARGV[3] == '1' then redis.call('HSET', KEYS[1], 'rebuilt', now_ms(), 'last', ARGV[2]) end
if redis.call('EXISTS', KEYS[2]) == 0 then
  -- a stream exists once it has had an entry; its last id stays when the entry goes
  redis.call('XADD', KEYS[2], '0-1', 'kind', 'none')
  redis.call('XDEL', KEYS[2], '0-1')
end
local info = redis.call('XINFO', 'STREAM', KEYS[2])
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then
    local ms, seq = string.match(info[i + 1], '^(%d+)-(%d+)$')
    local wanted_ms, wanted_seq = string.match(ARGV[2], '^(%d+)-(%d+)$')
    ms, seq, wanted_ms, wanted_seq = tonumber(ms), tonumber(seq), tonumber(wanted_ms), tonumber(wanted_seq)
    if wanted_ms > ms or (wanted_ms == ms and wanted_seq > seq) then redis.call('XSETID', KEYS[2], ARGV[2]) end
  end
end
return {'ok'}
