-- Finds a client's place.
-- KEYS: buffer
-- ARGV: now, most records, longest age, partition and id of the client's last record (both empty if it has none)
-- Returns: the buffer's birth, the number after which to go on, 1 if the record was found
local born = redis.call('HGET', KEYS[1], 'born')
if not born then
  return { '', 0, 0 }
end
trim(last_number() - tonumber(ARGV[2]), tonumber(ARGV[1]) - tonumber(ARGV[3]))
local oldest = before_oldest()
if ARGV[4] == '' then
  return { born, oldest, 0 }
end
local stored = redis.call('XRANGE', stream_of(ARGV[4]), ARGV[5], ARGV[5])[1]
if stored then
  return { born, number_of(stored), 1 }
end
-- The newest record of a partition can be resumed although it was dropped, if nothing after it was dropped too.
local id, number = string.match(redis.call('HGET', KEYS[1], 'mark:' .. ARGV[4]) or '', '^(%S+) (%d+)$')
if id == ARGV[5] and tonumber(number) == oldest then
  return { born, oldest, 1 }
end
return { born, oldest, 0 }
