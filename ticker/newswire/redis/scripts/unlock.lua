-- Take off the lock that was read, unless another is on by now.
-- KEYS  lock      ARGV  1 the lock   2 PUBLISH or SPUBLISH   3 the channel to announce it on
if redis.call('GET', KEYS[1]) == ARGV[1] then
    redis.call('DEL', KEYS[1])
    redis.call(ARGV[2], ARGV[3], '')
end
