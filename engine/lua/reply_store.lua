-- Keeps the reply of a request whose work was not done by a script, or gives its claim up.
--
-- KEYS   1 reply
-- ARGV   1 owner of the claim
--        2 reply, or empty to give the claim up: the next request with the key is the first again
--        3 how long to keep the reply, ms
-- STATUS not_owner  the claim is over: a script has kept the reply with its work, or the claim has expired
--        ok
-- RETURNS status
-- WRITES reply
-- COST   O(1)
--#include reply

local reply_key, owner, reply, keep_ms = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

if not reply_ours(reply_key, owner) then return {'not_owner'} end

if reply == '' then
  redis.call('DEL', reply_key)
else
  reply_keep(reply_key, reply, {}, keep_ms)
end
return {'ok'}
