-- Shared by the scripts of a user's buffer.
-- KEYS: the hash with the buffer's state, the list of its records (oldest first), the hash of unfinished messages
--
-- Records are numbered as they arrive, across all partitions. The list's last record has the number `last`. The hash
-- has, by partition (`channel:partition`), a mark, its newest record: epoch, offset, number, generation and time; and
-- the last one of those that are gone: epoch, offset, number.

-- Formats a number without an exponent.
local function text(number)
  return string.format('%.0f', number)
end

-- Offsets may exceed what a number holds exactly, so they are compared as texts. They have no leading zeros.
local function is_after(epoch, offset, other_epoch, other_offset)
  if epoch ~= other_epoch then
    return tonumber(epoch) > tonumber(other_epoch)
  end
  if #offset ~= #other_offset then
    return #offset > #other_offset
  end
  return offset > other_offset
end

local function parse_mark(mark)
  local epoch, offset, seq, generation, time = string.match(mark, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  return epoch, offset, tonumber(seq), tonumber(generation), tonumber(time)
end

local function parse_gone(gone)
  local epoch, offset, seq = string.match(gone, '^(%d+) (%d+) (%d+)$')
  return epoch, offset, tonumber(seq)
end

-- A record is a line of channel, partition, epoch, offset, time and kind, then its frame. Kinds: `m` is a message, a
-- number a piece of one, whose id has so many bytes and precedes the frame, `e` a piece that is not needed any more and
-- has no frame.
local function parse_record(record)
  local channel, partition, epoch, offset, time, kind, body =
    string.match(record, '^(%S+) (%d+) (%d+) (%d+) (%d+) (%S+)\n()')
  local id_bytes = tonumber(kind) or 0
  return {
    partition = channel .. ':' .. partition,
    epoch = epoch,
    offset = offset,
    time = tonumber(time),
    kind = kind,
    frame_bytes = #record - (body - 1) - id_bytes,
    head = string.sub(record, 1, body - 1 - #kind - 1),
    message = tonumber(kind) and (channel .. ':' .. string.sub(record, body, body - 1 + id_bytes)),
  }
end

-- The buffer's state, or nil if there is none.
local function load()
  local fields = redis.call('HGETALL', KEYS[1])
  if #fields == 0 then
    return nil
  end
  local state = { marks = {}, gone = {}, changed = {} }
  for i = 1, #fields, 2 do
    local kind, partition = string.match(fields[i], '^(%l+):(.+)$')
    if kind == 'mark' then
      state.marks[partition] = fields[i + 1]
    elseif kind == 'gone' then
      state.gone[partition] = fields[i + 1]
    elseif fields[i] == 'born' then
      state.born = fields[i + 1]
    else
      state[fields[i]] = tonumber(fields[i + 1])
    end
  end
  if redis.call('LLEN', KEYS[2]) ~= state.records then
    -- The list has expired, or was lost. Either way all its records are gone.
    state.is_list_gone = true
    state.records, state.messages, state.bytes, state.oldest = 0, 0, 0, 0
    for partition, mark in pairs(state.marks) do
      local epoch, offset, seq = parse_mark(mark)
      state.gone[partition] = epoch .. ' ' .. offset .. ' ' .. text(seq)
      state.changed['gone:' .. partition] = state.gone[partition]
    end
  end
  return state
end

-- Deletes what is left of a list that is gone, before the first write.
local function begin(state)
  if state.is_list_gone then
    redis.call('DEL', KEYS[2], KEYS[3])
  end
end

local function save(state)
  local fields = { 'born', state.born }
  for _, name in ipairs({ 'last', 'time', 'records', 'messages', 'bytes', 'oldest' }) do
    fields[#fields + 1] = name
    fields[#fields + 1] = text(state[name])
  end
  for field, value in pairs(state.changed) do
    fields[#fields + 1] = field
    fields[#fields + 1] = value
  end
  redis.call('HSET', KEYS[1], unpack(fields))
end

-- Drops the oldest records until the buffer is within the limits and none is older than a time.
local function trim(state, most_messages, most_bytes, most_records, older_than)
  local dropped, pieces, is_done = 0, {}, false
  while not is_done do
    local page = redis.call('LRANGE', KEYS[2], dropped, dropped + 63)
    if #page == 0 then
      state.oldest = 0
      break
    end
    for _, stored in ipairs(page) do
      local record = parse_record(stored)
      if
        state.messages <= most_messages
        and state.bytes <= most_bytes
        and state.records <= most_records
        and record.time >= older_than
      then
        state.oldest = record.time
        is_done = true
        break
      end
      local seq = state.last - state.records + 1
      local gone = record.epoch .. ' ' .. record.offset .. ' ' .. text(seq)
      state.gone[record.partition], state.changed['gone:' .. record.partition] = gone, gone
      dropped = dropped + 1
      state.records = state.records - 1
      state.bytes = state.bytes - record.frame_bytes
      if record.kind == 'm' then
        state.messages = state.messages - 1
      elseif record.message then
        pieces[record.message] = seq
      end
    end
  end
  redis.call('LTRIM', KEYS[2], dropped, -1)
  for message, seq in pairs(pieces) do
    local last = string.match(redis.call('HGET', KEYS[3], message) or '', ' (%d+)$')
    if last and tonumber(last) <= seq then
      redis.call('HDEL', KEYS[3], message)
    end
  end
end
