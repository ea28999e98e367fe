-- Reads the next records of all partitions, merged by their numbers.
-- KEYS: buffer
-- ARGV: the buffer's birth as the reader knows it, the number after which to go on, most records, most bytes, then
--       partition and last id of each stream as far as read
-- Returns: the buffer's birth, the last number given (or, for another birth, the number before the oldest record),
--          { partition, last id }…, { partition, id, number, event }…
local born = redis.call('HGET', KEYS[1], 'born')
if not born then
  return { '', 0, {}, {} }
end
if ARGV[1] ~= '' and ARGV[1] ~= born then
  return { born, before_oldest(), {}, {} }
end

local after, most_records, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local read = {}
for i = 5, #ARGV, 2 do
  read[ARGV[i]] = ARGV[i + 1]
end

local readers = {}
for _, partition in ipairs(partitions()) do
  readers[#readers + 1] = { partition = partition, stream = stream_of(partition), page = {}, at = 1 }
end

-- The reader's next record that lies after the place, without taking it.
local function peek(reader)
  while not reader.done do
    local record = reader.page[reader.at]
    if not record then
      local from = read[reader.partition] and '(' .. read[reader.partition] or '-'
      reader.page, reader.at = redis.call('XRANGE', reader.stream, from, '+', 'COUNT', 8), 1
      reader.done = #reader.page == 0
    elseif number_of(record) > after then
      return record
    else
      read[reader.partition] = record[1]
      reader.at = reader.at + 1
    end
  end
end

local records, bytes = {}, 0
while #records < most_records and bytes < most_bytes do
  local first, reader
  for _, candidate in ipairs(readers) do
    local record = peek(candidate)
    if record and (not first or number_of(record) < number_of(first)) then
      first, reader = record, candidate
    end
  end
  if not first then
    break
  end
  records[#records + 1] = { reader.partition, first[1], number_of(first), event_of(first) }
  bytes = bytes + #event_of(first)
  read[reader.partition] = first[1]
  reader.at = reader.at + 1
end

local positions = {}
for partition, id in pairs(read) do
  positions[#positions + 1] = { partition, id }
end
return { born, last_number(), positions, records }
