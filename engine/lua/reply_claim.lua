-- Claims an idempotency key for one request, or tells what became of the request that came first.
--
-- KEYS   1 reply, 2 shard
-- ARGV   1 owner: a word that no other request has
--        2 fingerprint of the request
--        3 how long the claim lasts if its owner never comes back, ms
--        4 how long replies are kept, ms
-- STATUS other_request  the key belongs to a request with another method, path or body
--        running        the first request has not been answered yet
--        replay         it has been
--        unverified     the shard has no epoch: what it kept may be lost, and nobody has looked yet; the fence's alarm
--        claimed
-- RETURNS status; replay: reply, decided (include/reply.lua); claimed: 1 if replies that were kept may have been lost
--        with what the shard was rebuilt from, else 0
-- WRITES reply
-- COST   O(1)
--#include now_ms

local reply_key, shard_key = KEYS[1], KEYS[2]
local owner, fingerprint, claim_ms, keep_ms = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])

local request, running, reply, decided = unpack(redis.call('HMGET', reply_key, 'request', 'owner', 'reply', 'decided'))
if request and request ~= fingerprint then return {'other_request'} end
if running then return {'running'} end
if reply then return {'replay', reply, decided} end

local epoch, rebuilt = unpack(redis.call('HMGET', shard_key, 'epoch', 'rebuilt'))
if not epoch then return {'unverified'} end

redis.call('HSET', reply_key, 'request', fingerprint, 'owner', owner)
redis.call('PEXPIRE', reply_key, claim_ms)
return {'claimed', tonumber(rebuilt or 0) + keep_ms > now_ms() and 1 or 0}
