-- Reads the next records of all partitions, merged by their sequence numbers.
-- KEYS: the buffer's hash
-- ARGV: the buffer's id as the reader knows it, the sequence number after which to read, most records, most bytes, then
--       each partition with the last id read in it
-- Returns: the buffer's id, the last sequence number given (or, if the id differs, the one before the oldest record),
--          { partition, last id }…, { partition, id, sequence number, event }…
local buffer_id = redis.call('HGET', KEYS[1], 'born')
if not buffer_id then
  return { '', 0, {}, {} }
end
if ARGV[1] ~= '' and ARGV[1] ~= buffer_id then
  return { buffer_id, before_oldest(), {}, {} }
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

-- The reader's next record after the position, without advancing the reader past it.
local function peek(reader)
  while not reader.done do
    local record = reader.page[reader.at]
    if not record then
      local from = read[reader.partition] and '(' .. read[reader.partition] or '-'
      reader.page, reader.at = redis.call('XRANGE', reader.stream, from, '+', 'COUNT', 8), 1
      reader.done = #reader.page == 0
    elseif seq_of(record) > after then
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
    if record and (not first or seq_of(record) < seq_of(first)) then
      first, reader = record, candidate
    end
  end
  if not first then
    break
  end
  records[#records + 1] = { reader.partition, first[1], seq_of(first), event_of(first) }
  bytes = bytes + #event_of(first)
  read[reader.partition] = first[1]
  reader.at = reader.at + 1
end

local positions = {}
for partition, id in pairs(read) do
  positions[#positions + 1] = { partition, id }
end
return { buffer_id, last_seq(), positions, records }
