-- Put on a lock, in the place of any other.
-- KEYS  lock      ARGV  1 the lock   2 PUBLISH or SPUBLISH   3 the channel to announce it on
redis.call('SET', KEYS[1], ARGV[1])
redis.call(ARGV[2], ARGV[3], '')
