-- Remember what a request was answered that changed nothing, or say why not.
-- KEYS  once      ARGV  1 the outcome   2 seconds to remember it   3 the generation of the request's claim
-- Answers {'kept' | 'once' | 'fenced', outcome or fence}.
local kept = redis.call('GET', KEYS[1])
local fence = kept and tonumber(kept)
if kept and not fence then
    return {'once', kept}
end
if fence and fence >= tonumber(ARGV[3]) then
    return {'fenced', kept}
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return {'kept', ''}
