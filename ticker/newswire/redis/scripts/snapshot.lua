-- The head of a channel and its newest lines, both of one moment.
-- KEYS  head, lines, index      ARGV  the last rank wanted
local ids = redis.call('ZREVRANGE', KEYS[3], 0, ARGV[1])
local lines = {}
if #ids > 0 then
    lines = redis.call('HMGET', KEYS[2], unpack(ids))
end
return {redis.call('GET', KEYS[1]) or '', lines}
