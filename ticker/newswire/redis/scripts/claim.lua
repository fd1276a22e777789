-- Claim an Idempotency-Key for a channel, if nobody has claimed it, or only as was known; says whose it is then.
-- KEYS  claim      ARGV  1 our claim: a generation and a channel   2 the claim it replaces ('' for none)
--                        3 seconds to remember it
local held = redis.call('GET', KEYS[1]) or ''
if held == ARGV[2] then
    held = ARGV[1]
end
redis.call('SET', KEYS[1], held, 'EX', ARGV[3])
return held
