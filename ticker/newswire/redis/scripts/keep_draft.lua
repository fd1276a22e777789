-- Keep a draft: a new one, or one in the place of what was read; or say why not.
-- KEYS  drafts, due, outcome, lock, those in the state that it was in, those in the state that it is in; and, of a new
--       one, those in each state that has not ended        all of one hash tag
-- ARGV  1 its id   2 the draft as it was read ('' for none)   3 the draft   4 when it was changed, in microseconds
--       5 its member in the order of what is due   6 when it is due, in milliseconds ('' for never)
--       7 how many may not have ended   8 PUBLISH or SPUBLISH   9 the channel to announce it on
--      10 what is kept as the outcome   11 seconds to remember it   12 the generation of the claim on the Idempotency-Key
--      13 whether the desk's lock holds it up (1 or 0)   14 milliseconds before which it is too early ('' for none)
-- Answers {'kept' | 'moved' | 'many' | 'once' | 'fenced' | 'locked' | 'early', outcome, fence or lock, microseconds of
-- this server's clock}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local micro = time[1] * 1000000 + time[2]

local outcome = redis.call('GET', KEYS[3])
local fence = outcome and tonumber(outcome)
if fence and fence >= tonumber(ARGV[12]) then
    return {'fenced', outcome, micro}
end
if outcome and not fence then
    redis.call('PEXPIRE', KEYS[3], redis.call('PTTL', KEYS[3]))  -- a write, so that WAIT covers the draft's own
    return {'once', outcome, micro}
end
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then
    return {'moved', '', micro}
end
local lock = ARGV[13] == '1' and redis.call('GET', KEYS[4])
if lock then
    return {'locked', lock, micro}
end
if ARGV[14] ~= '' and now < tonumber(ARGV[14]) then
    return {'early', '', micro}
end
local living = 0
for n = 7, #KEYS do
    living = living + redis.call('ZCARD', KEYS[n])
end
if living >= tonumber(ARGV[7]) then
    return {'many', '', micro}
end

redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZADD', KEYS[6], ARGV[4], ARGV[1])
if ARGV[6] == '' then
    redis.call('ZREM', KEYS[2], ARGV[5])
else
    redis.call('ZADD', KEYS[2], ARGV[6], ARGV[5])
end
redis.call('SET', KEYS[3], ARGV[10], 'EX', ARGV[11])
redis.call(ARGV[8], ARGV[9], ARGV[1])
return {'kept', '', micro}
