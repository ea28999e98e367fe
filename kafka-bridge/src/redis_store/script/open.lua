-- Finds the position of a client.
-- ARGV: now, longest age, then channel, partition, epoch and offset of the client's last record (all empty if it has
--       none), 1 if it has only some of the record's events, then the channels to hear (all of them if there are none)
-- Returns: the buffer's id, the number after which to read on, 1 if the client's position was found, each partition with
--          its mark, and the offset of the last record that is gone if the client misses records up to there and surely
--          none of another partition (empty otherwise)
local state = load()
if not state then
  return { '', 0, 0, {}, '' }
end
local older_than = tonumber(ARGV[1]) - tonumber(ARGV[2])
if state.is_list_gone or (state.records > 0 and state.oldest < older_than) then
  begin(state)
  trim(state, math.huge, math.huge, math.huge, older_than)
  save(state)
  -- With a second write it is a transaction in the append-only file, as an append is: one is not lost without the other.
  redis.call('HSET', KEYS[1], 'born', state.born)
end

local channels = {}
for i = 8, #ARGV do
  channels[ARGV[i]] = true
end
local function is_heard(partition)
  return #ARGV < 8 or channels[string.match(partition, '^(.+):')]
end

local marks = {}
for partition, mark in pairs(state.marks) do
  if is_heard(partition) then
    marks[#marks + 1] = partition
    marks[#marks + 1] = mark
  end
end
local first = state.last - state.records + 1
local function answer(seq, found)
  return { state.born, seq, found, marks, '' }
end

local wanted, epoch, offset = ARGV[3] .. ':' .. ARGV[4], ARGV[5], ARGV[6]
-- A record that the client no longer hears is not sent again, whatever it got of it.
local is_partial = ARGV[7] == '1' and is_heard(wanted)
local mark = state.marks[wanted]
if ARGV[3] == '' or not mark then
  return answer(first - 1, 0)
end
local mark_epoch, mark_offset, mark_seq = parse_mark(mark)

-- The last number of the gone records that the client hears. Before it, no position is exact.
local gone_seq = 0
for partition, gone in pairs(state.gone) do
  local _, _, seq = parse_gone(gone)
  if is_heard(partition) then
    gone_seq = math.max(gone_seq, seq)
  end
end

if is_after(epoch, offset, mark_epoch, mark_offset) then
  -- The client got the record before it was stored. It had the stored ones of this partition before, and may miss some
  -- that came from others since.
  local is_believed = epoch == mark_epoch and mark_seq >= gone_seq
  return answer(is_believed and mark_seq or first - 1, is_believed and 1 or 0)
end
local gone_epoch, gone_offset, seq_of_gone = parse_gone(state.gone[wanted] or '')
if gone_epoch == epoch and gone_offset == offset and not is_partial and seq_of_gone >= gone_seq then
  return answer(math.max(seq_of_gone, first - 1), 1)
end

-- Older than what is gone. Where the client is in another partition, nobody knows once records of that are gone, too.
if gone_epoch == epoch and (is_after(epoch, gone_offset, epoch, offset) or gone_offset == offset) then
  if not is_heard(wanted) then
    -- The client misses none of this partition. All that it hears and that is in the buffer came later.
    return answer(first - 1, gone_seq == 0 and 1 or 0)
  end
  local is_alone = true
  for partition in pairs(state.gone) do
    is_alone = is_alone and (partition == wanted or not is_heard(partition))
  end
  return { state.born, first - 1, 0, marks, is_alone and gone_offset or '' }
end

-- From the newest record backwards. Those passed by are the ones that the stream reads next, or a lost client reads
-- them all.
local to = mark_seq
while to >= first do
  local from = math.max(to - 63, first)
  local page = redis.call('LRANGE', KEYS[2], from - first, to - first)
  for i = #page, 1, -1 do
    local record = parse_record(page[i])
    if record.partition == wanted then
      if record.epoch == epoch and record.offset == offset then
        local seq = from + i - 1
        return answer(is_partial and seq - 1 or seq, 1)
      elseif is_after(epoch, offset, record.epoch, record.offset) then
        return answer(first - 1, 0)
      end
    end
  end
  to = from - 1
end
return answer(first - 1, 0)
