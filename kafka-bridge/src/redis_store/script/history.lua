-- Reads records of one partition before an offset, from the newest to the oldest.
-- ARGV: channel, partition, epoch and offset before which to read (the last three empty for the end), most records, most
--       bytes, now, longest age
-- Returns: the epoch, { record… }, the first record at the offset or after it (empty if there is none). The epoch is empty
--          if the buffer does not know all records before the offset, or if that is too far back to look for. Without an
--          offset, the partition is known only if all records of the channel came from one.
-- Redis answers nobody else meanwhile.
local MOST_LOOKED_AT = 4096

local state = load()
if not state then
  return { '', {}, '' }
end
local wanted = ARGV[2] ~= '' and (ARGV[1] .. ':' .. ARGV[2])
if not wanted then
  for partition in pairs(state.marks) do
    if string.match(partition, '^(.+):') == ARGV[1] then
      if wanted then
        return { '', {}, '' }
      end
      wanted = partition
    end
  end
end
local mark = wanted and state.marks[wanted]
if not mark then
  return { '', {}, '' }
end
local epoch, newest = parse_mark(mark)
local before = ARGV[4] ~= '' and ARGV[4]
if before and (ARGV[3] ~= epoch or (is_after(epoch, before, epoch, newest) and before ~= text(tonumber(newest) + 1))) then
  return { '', {}, '' }
end

local most_records, most_bytes = tonumber(ARGV[5]), tonumber(ARGV[6])
local older_than = tonumber(ARGV[7]) - tonumber(ARGV[8])
local first = state.last - state.records + 1
local records, count, bytes, following = {}, 0, 0, ''
local to, is_done = state.last, false
while to >= first and not is_done do
  if #records == 0 and state.last - to > MOST_LOOKED_AT then
    return { '', {}, '' }
  end
  local from = math.max(to - 63, first)
  local page = redis.call('LRANGE', KEYS[2], from - first, to - first)
  for i = #page, 1, -1 do
    local record = parse_record(page[i])
    if record.time < older_than then
      is_done = true
      break
    end
    local is_wanted = record.partition == wanted and record.epoch == epoch
    if is_wanted and before and not is_after(epoch, before, epoch, record.offset) then
      following = page[i]
    elseif is_wanted then
      -- The pieces of a message that is complete count as nothing: the page reaches beyond them.
      if record.kind ~= 'e' then
        if count >= most_records or bytes >= most_bytes then
          is_done = true
          break
        end
        count, bytes = count + 1, bytes + record.frame_bytes
      end
      records[#records + 1] = page[i]
    end
  end
  to = from - 1
end
return { epoch, records, following }
