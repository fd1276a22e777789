-- Let go of a line that can't show any more, unless it has changed meanwhile.
-- KEYS  lines, index      ARGV  id, the line as it was read
local line = redis.call('HGET', KEYS[1], ARGV[1])
if not line or line == ARGV[2] then
    redis.call('HDEL', KEYS[1], ARGV[1])
    redis.call('ZREM', KEYS[2], ARGV[1])
end
