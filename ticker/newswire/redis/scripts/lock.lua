-- Put on a lock over what was read, unless another is on by now; says whether it is on.
-- KEYS  lock      ARGV  1 the lock   2 PUBLISH or SPUBLISH   3 the channel to announce it on   4 what was read ('' for none)
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[4] then
    return 0
end
redis.call('SET', KEYS[1], ARGV[1])
redis.call(ARGV[2], ARGV[3], '')
return 1
