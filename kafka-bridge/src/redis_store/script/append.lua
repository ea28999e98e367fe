-- Appends a user's records in order, skips those that the buffer had before, trims, and wakes the user's streams.
-- ARGV: now, 1 if a new buffer may be created, an id for it, subject, wake channel, most bytes of frames in a wake, most
--       messages, most bytes, most records, slack in per cent, longest age, idle expiry. Then for each slice its
--       channel, partition, epoch, generation, number of items, and of each item offset, relation and frame. A relation
--       is empty, or `p` and the message that the item is a piece of, or `c` and the message that it completes.
-- Returns: the number of new records, -1 if a slice is of a generation that was replaced, -2 if there is no buffer
local now, slack = tonumber(ARGV[1]), 1 + tonumber(ARGV[10]) / 100
local most_messages, most_bytes, most_records = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local age = tonumber(ARGV[11])
local FIRST_SLICE = 13

local state = load()
if not state and ARGV[2] ~= '1' then
  return -2
end
local at = FIRST_SLICE
while state and at <= #ARGV do
  local mark = state.marks[ARGV[at] .. ':' .. ARGV[at + 1]]
  if mark then
    local _, _, _, generation = parse_mark(mark)
    if generation > tonumber(ARGV[at + 3]) then
      return -1
    end
  end
  at = at + 5 + 3 * tonumber(ARGV[at + 4])
end
if not state then
  state = { marks = {}, gone = {}, changed = {}, born = ARGV[3], is_list_gone = true }
  state.last, state.time, state.records, state.messages, state.bytes, state.oldest = 0, 0, 0, 0, 0, 0
end
begin(state)

-- The first and the last piece of each unfinished message in these slices: { first, last, changed }.
local unfinished = {}
local function pieces_of(message)
  if unfinished[message] == nil then
    local first, last = string.match(redis.call('HGET', KEYS[3], message) or '', '^(%d+) (%d+)$')
    unfinished[message] = first and { first = tonumber(first), last = tonumber(last) } or {}
  end
  return unfinished[message]
end

-- The time never decreases. Otherwise a record could outlive an earlier one, which would look like a gap.
local time = math.max(now, state.time)
local before = state.last
local records, wake, wake_bytes, completed = {}, {}, 0, {}
at = FIRST_SLICE
while at <= #ARGV do
  local partition, epoch, generation = ARGV[at] .. ':' .. ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local prefix = ARGV[at] .. ' ' .. ARGV[at + 1] .. ' ' .. epoch .. ' '
  local mark_epoch, mark_offset, mark_seq, mark_generation, mark_time
  if state.marks[partition] then
    mark_epoch, mark_offset, mark_seq, mark_generation, mark_time = parse_mark(state.marks[partition])
  end
  local next_slice = at + 5 + 3 * tonumber(ARGV[at + 4])
  for i = at + 5, next_slice - 1, 3 do
    local offset, relation, frame = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    if not mark_epoch or is_after(epoch, offset, mark_epoch, mark_offset) then
      state.last = state.last + 1
      mark_epoch, mark_offset, mark_seq, mark_time = epoch, offset, state.last, time
      local related, id = string.sub(relation, 1, 1), string.sub(relation, 2)
      local head = prefix .. offset .. ' '
      if related == 'p' then
        records[#records + 1] = head .. text(time) .. ' ' .. #id .. '\n' .. id .. frame
        local pieces = pieces_of(ARGV[at] .. ':' .. id)
        pieces.first, pieces.last, pieces.changed = pieces.first or state.last, state.last, true
      else
        records[#records + 1] = head .. text(time) .. ' m\n' .. frame
        state.messages = state.messages + 1
        if related == 'c' then
          local message = ARGV[at] .. ':' .. id
          local pieces = pieces_of(message)
          if pieces.first then
            completed[#completed + 1] = { message = message, first = pieces.first, last = pieces.last }
            unfinished[message] = { changed = true }
          end
        end
      end
      state.bytes = state.bytes + #frame
      wake_bytes = wake_bytes + #frame
      wake[#wake + 1] = head .. #frame .. '\n'
      wake[#wake + 1] = frame
    end
  end
  if mark_epoch then
    generation = math.max(tonumber(generation), mark_generation or 0)
    local mark = string.format('%s %s %.0f %.0f %.0f', mark_epoch, mark_offset, mark_seq, generation, mark_time)
    if mark ~= state.marks[partition] then
      state.marks[partition], state.changed['mark:' .. partition] = mark, mark
    end
  end
  at = next_slice
end

if #records > 0 then
  -- As many arguments as a call of Lua surely takes.
  for i = 1, #records, 1000 do
    redis.call('RPUSH', KEYS[2], unpack(records, i, math.min(i + 999, #records)))
  end
  if state.records == 0 then
    state.oldest = time
  end
  state.records, state.time = state.records + #records, time
end

-- The pieces of complete messages stay as positions, without their frames.
for _, message in ipairs(completed) do
  local first = state.last - state.records + 1
  for from = math.max(message.first, first), message.last, 64 do
    local page = redis.call('LRANGE', KEYS[2], from - first, math.min(from + 63, message.last) - first)
    for i, stored in ipairs(page) do
      local record = parse_record(stored)
      if record.message == message.message then
        redis.call('LSET', KEYS[2], from + i - 1 - first, record.head .. 'e\n')
        state.bytes = state.bytes - record.frame_bytes
      end
    end
  end
end
for message, pieces in pairs(unfinished) do
  if pieces.first and pieces.changed then
    redis.call('HSET', KEYS[3], message, text(pieces.first) .. ' ' .. text(pieces.last))
  elseif pieces.changed then
    redis.call('HDEL', KEYS[3], message)
  end
end

if
  state.messages > math.floor(most_messages * slack)
  or state.bytes > math.floor(most_bytes * slack)
  or state.records > math.floor(most_records * slack)
  or (state.records > 0 and state.oldest < now - age * slack)
then
  trim(state, most_messages, most_bytes, most_records, now - age)
end
save(state)
redis.call('PEXPIRE', KEYS[1], ARGV[12])
if #records > 0 then
  redis.call('PEXPIRE', KEYS[2], ARGV[11])
  redis.call('PEXPIRE', KEYS[3], ARGV[11])
  if wake_bytes > tonumber(ARGV[6]) then
    -- Streams that have these records already need no more than the positions. Others read them.
    wake = {}
    for partition, mark in pairs(state.marks) do
      local epoch, offset, seq = parse_mark(mark)
      if seq > before then
        wake[#wake + 1] = string.gsub(partition, ':', ' ') .. ' ' .. epoch .. ' ' .. offset .. ' -\n'
      end
    end
  end
  local head = string.format('%s\n%s %.0f %.0f\n', ARGV[4], state.born, before, state.last)
  redis.call('PUBLISH', ARGV[5], head .. table.concat(wake))
end
return #records
