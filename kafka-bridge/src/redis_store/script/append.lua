-- Appends records of one partition in order, skips those the buffer had before, trims, and wakes the user's streams.
-- KEYS: the buffer's hash, the partition's stream
-- ARGV: partition, now, most records, longest age, idle expiry, an id for a new buffer, wake channel, subject, then id
--       and event of each record
-- Returns: the number of new records
local partition, now = ARGV[1], tonumber(ARGV[2])
local mark = 'mark:' .. partition
redis.call('HSETNX', KEYS[1], 'born', ARGV[6])
if redis.call('HEXISTS', KEYS[1], mark) == 0 then
  -- The hash was lost but the stream was not, so the stream's sequence numbers are meaningless.
  redis.call('DEL', KEYS[2])
end

local last = last_seq()
-- Never decreases. Otherwise a record could outlive an earlier one, which would look like a gap.
local time = math.max(now, tonumber(redis.call('HGET', KEYS[1], 'time') or '0'))
local added, failure = 0, nil
for i = 9, #ARGV, 2 do
  local reply = redis.pcall('XADD', KEYS[2], ARGV[i], 'n', text(last + 1), 't', text(time), 'e', ARGV[i + 1])
  if type(reply) == 'table' and reply.err then
    -- Redis rejects an id that the stream had before, which marks a repeat.
    if not string.find(reply.err, 'equal or smaller', 1, true) then
      failure = reply
      break
    end
  else
    last = last + 1
    added = added + 1
    redis.call('HSET', KEYS[1], 'last', text(last), 'time', text(time), mark, ARGV[i] .. ' ' .. text(last))
  end
end

trim(last - tonumber(ARGV[3]), now - tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[5])
for _, other in ipairs(partitions()) do
  redis.call('PEXPIRE', stream_of(other), ARGV[5])
end
if added > 0 then
  redis.call('PUBLISH', ARGV[7], ARGV[8])
end
return failure or added
