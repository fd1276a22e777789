-- Put a field's new value in its old one's place, if that is what stands there.
-- KEYS  hash      ARGV  field, old, new
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
    return 1
end
return 0
