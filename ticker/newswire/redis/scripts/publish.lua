-- Keep, number and announce one event, or say why not. The newswire's one atomic step.
--
-- KEYS  head, events, lines, index, versions, once, histories; the lock, unless it doesn't hold it up; if a draft is
--       released by it: drafts, due, those in the state that it was in, those that were released
--       all of one hash tag
-- ARGV  1 the head that the event follows ('' for none)    2 its cursor       3 the event
--       4 the line's id   5 the line   6 its place in the index
--       7 the outcome     8 seconds to remember it         9 seconds to keep events
--      10 PUBLISH or SPUBLISH   11 the channel to announce it on
--      12 how many events to keep   13 seconds that another node's history counts after the node was last seen
--      14 the generation of the claim on the Idempotency-Key
--      if a draft is released by it:
--      15 its id    16 the draft as it was read    17 as it is then
--      18 when it was due, in milliseconds    19 its member in the order of what is due
--      20 when it was released, in microseconds   21 the channel to announce it on
--
-- Answers {'kept' | 'moved' | 'once' | 'fenced' | 'locked' | 'draft' | 'early', head, outcome, fence or lock,
-- microseconds of this server's clock}.

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local micro = time[1] * 1000000 + time[2]

local outcome = redis.call('GET', KEYS[6])
local fence = outcome and tonumber(outcome)
if fence and fence >= tonumber(ARGV[14]) then
    return {'fenced', outcome, micro}
end
if outcome and not fence then
    redis.call('PEXPIRE', KEYS[6], redis.call('PTTL', KEYS[6]))  -- a write, so that WAIT covers the event's own
    return {'once', outcome, micro}
end

local lock = KEYS[8] and redis.call('GET', KEYS[8])
if lock then
    return {'locked', lock, micro}
end
if ARGV[15] then
    if redis.call('HGET', KEYS[9], ARGV[15]) ~= ARGV[16] then
        return {'draft', '', micro}
    end
    if now < tonumber(ARGV[18]) then
        return {'early', '', micro}
    end
end

local head = redis.call('GET', KEYS[1]) or ''
local ms = tonumber(string.match(ARGV[2], '^%d+'))
local head_ms = tonumber(string.match(head, '^%d+') or 0)
local follows_clock = math.abs(ms - now) <= 1000 or (ms == head_ms and now < head_ms)  -- the clock stepped back
if head ~= ARGV[1] or not follows_clock then
    return {'moved', head, micro}
end

local history = tonumber(ARGV[9])  -- the longest that a node asks for, so that none deletes what another keeps
for _, said in ipairs(redis.call('HVALS', KEYS[7])) do
    local seconds, at = string.match(said, '^(%d+):%d+@(%d+)$')
    if tonumber(at) >= now - ARGV[13] * 1000 then
        history = math.max(history, tonumber(seconds))
    end
end

redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[12], ARGV[2], 'event', ARGV[3])
redis.call('SET', KEYS[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[4], ARGV[5])
redis.call('ZADD', KEYS[4], ARGV[6], ARGV[4])
redis.call('RPUSH', KEYS[5], ARGV[2])
redis.call('EXPIRE', KEYS[5], history)
redis.call('SET', KEYS[6], ARGV[7], 'EX', ARGV[8])
redis.call('XTRIM', KEYS[2], 'MINID', '~', string.format('%.0f-0', math.max(0, ms - history * 1000)))
redis.call(ARGV[10], ARGV[11], ARGV[3])
if ARGV[15] then
    redis.call('HSET', KEYS[9], ARGV[15], ARGV[17])
    redis.call('ZREM', KEYS[10], ARGV[19])
    redis.call('ZREM', KEYS[11], ARGV[15])
    redis.call('ZADD', KEYS[12], ARGV[20], ARGV[15])
    redis.call(ARGV[10], ARGV[21], ARGV[15])
end
return {'kept', ARGV[2], micro}
