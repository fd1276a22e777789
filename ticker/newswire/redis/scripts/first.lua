-- Put a field into a hash that is still empty.
-- KEYS  hash      ARGV  field, value
if redis.call('EXISTS', KEYS[1]) == 1 then
    return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
