-- KEYS: the note's key
-- ARGV: the expected note (empty if there must be none), the new one (empty to remove it), how long it is kept in ms
-- Returns: 1 if the note was as expected and was replaced, else 0 and the note, if there is one
local note = redis.call('GET', KEYS[1])
if (note or '') ~= ARGV[1] then
  return { 0, note }
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return { 1, false }
