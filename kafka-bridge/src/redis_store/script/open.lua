-- Finds the position of a client.
-- KEYS: the buffer's hash
-- ARGV: now, most records, longest age, partition and id of the client's last record (both empty if it has none)
-- Returns: the buffer's id, the sequence number after which to read on, 1 if the client's record was found
local buffer_id = redis.call('HGET', KEYS[1], 'born')
if not buffer_id then
  return { '', 0, 0 }
end
trim(last_seq() - tonumber(ARGV[2]), tonumber(ARGV[1]) - tonumber(ARGV[3]))
local oldest = before_oldest()
if ARGV[4] == '' then
  return { buffer_id, oldest, 0 }
end
local stored = redis.call('XRANGE', stream_of(ARGV[4]), ARGV[5], ARGV[5])[1]
if stored then
  return { buffer_id, seq_of(stored), 1 }
end
-- A client can resume after the newest record of a partition even if that was dropped, unless a record after it was
-- dropped, too.
local id, seq = string.match(redis.call('HGET', KEYS[1], 'mark:' .. ARGV[4]) or '', '^(%S+) (%d+)$')
if id == ARGV[5] and tonumber(seq) == oldest then
  return { buffer_id, oldest, 1 }
end
return { buffer_id, oldest, 0 }
