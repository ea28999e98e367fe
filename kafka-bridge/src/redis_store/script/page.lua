-- Reads the next records.
-- ARGV: the buffer's id as the reader knows it (empty if there was none), the number after which to read, most records,
--       most bytes, then the channels to hear (all of them if there are none)
-- Returns: the buffer's id, 1 if the position is not one of this buffer, the number of the last record that was read or
--          passed by (or, if the position is not one of this buffer, the one before its oldest record), the number of
--          its last record, { partition, last gone record… } if records after the position are gone, { record… }
local state = load()
if not state then
  return { '', ARGV[1] ~= '' and 1 or 0, 0, 0, {}, {} }
end
local after, most_records, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local first = state.last - state.records + 1
-- A number that was not given yet: the server lost its last writes.
if (ARGV[1] ~= '' and ARGV[1] ~= state.born) or after > state.last then
  return { state.born, 1, first - 1, state.last, {}, {} }
end

local gone = {}
if after < first - 1 then
  for partition, position in pairs(state.gone) do
    gone[#gone + 1] = partition
    gone[#gone + 1] = position
  end
  after = first - 1
end

local channels = {}
for i = 5, #ARGV do
  channels[ARGV[i]] = true
end
local records, bytes = {}, 0
local is_full = false
while after < state.last and not is_full do
  for _, record in ipairs(redis.call('LRANGE', KEYS[2], after - first + 1, after - first + 16)) do
    if #records >= most_records or bytes >= most_bytes then
      is_full = true
      break
    end
    after = after + 1
    if #ARGV < 5 or channels[string.match(record, '^%S+')] then
      records[#records + 1] = record
      bytes = bytes + #record
    end
  end
end
return { state.born, 0, after, state.last, gone, records }
