-- KEYS: the note's key
-- ARGV: the expected note (empty if there must be none), the new one (empty to remove it), how long it is kept in ms,
-- and 1 if the change must outlive a restart of Redis
-- Returns: 1 if the note was as expected and was replaced, else 0 and the note, if there is one
local note = redis.call('GET', KEYS[1])
if (note or '') ~= ARGV[1] then
  return { 0, note }
end
-- An event waits for this change. Kept out of the append-only file, it waits for no disk. Not every server that speaks
-- Redis's protocol has this.
if ARGV[4] ~= '1' and redis.set_repl then
  redis.set_repl(redis.REPL_NONE)
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
return { 1, false }
