-- Shared by the scripts of a user's buffer. KEYS[1] is the buffer's hash; the streams are named after it.

-- Formats a number without an exponent.
local function text(number)
  return string.format('%.0f', number)
end

local function stream_of(partition)
  return (string.gsub(KEYS[1], 'buffer$', 'partition:' .. partition))
end

local function partitions()
  local found = {}
  for _, field in ipairs(redis.call('HKEYS', KEYS[1])) do
    local partition = string.match(field, '^mark:(%d+)$')
    if partition then
      found[#found + 1] = partition
    end
  end
  return found
end

-- A record is { id, { 'n', sequence number, 't', time, 'e', event } }, always in this order.
local function seq_of(record)
  return tonumber(record[2][2])
end

local function time_of(record)
  return tonumber(record[2][4])
end

local function event_of(record)
  return record[2][6]
end

local function last_seq()
  return tonumber(redis.call('HGET', KEYS[1], 'last') or '0')
end

-- Drops records up to and including a sequence number, and those older than a time. Both increase along a stream.
local function trim(up_to, older_than)
  for _, partition in ipairs(partitions()) do
    local stream = stream_of(partition)
    local from, first_kept, dropped = '-', nil, false
    repeat
      local page = redis.call('XRANGE', stream, from, '+', 'COUNT', 8)
      for _, record in ipairs(page) do
        if seq_of(record) > up_to and time_of(record) >= older_than then
          first_kept = record[1]
          break
        end
        dropped = true
        from = '(' .. record[1]
      end
    until first_kept or #page == 0
    if dropped and first_kept then
      redis.call('XTRIM', stream, 'MINID', first_kept)
    elseif dropped then
      -- Emptied, not deleted: it must go on rejecting the ids it had.
      redis.call('XTRIM', stream, 'MAXLEN', 0)
    end
  end
end

-- The sequence number before the oldest record.
local function before_oldest()
  local oldest = last_seq() + 1
  for _, partition in ipairs(partitions()) do
    local first = redis.call('XRANGE', stream_of(partition), '-', '+', 'COUNT', 1)[1]
    if first then
      oldest = math.min(oldest, seq_of(first))
    end
  end
  return oldest - 1
end
