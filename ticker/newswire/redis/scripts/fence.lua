-- Keep an older claim of an Idempotency-Key from being used any more, unless it has been; says whether it has.
-- A fence is a number, and a outcome is not.
-- KEYS  once      ARGV  1 the generation of that claim   2 seconds to remember it
local kept = redis.call('GET', KEYS[1])
if kept and not tonumber(kept) then
    return 1
end
redis.call('SET', KEYS[1], math.max(tonumber(kept or 0), tonumber(ARGV[1])), 'EX', ARGV[2])
return 0
