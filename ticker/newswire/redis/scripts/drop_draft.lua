-- Let go of a draft that ended long ago, unless it has been changed since.
-- KEYS  drafts, those in its state      ARGV  1 its id   2 microseconds before which it must have ended
local ended = redis.call('ZSCORE', KEYS[2], ARGV[1])
if ended and tonumber(ended) < tonumber(ARGV[2]) then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
end
