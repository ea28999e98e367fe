-- KEYS: the key
-- ARGV: its expected value (empty if it must not exist), its new value
-- Returns: its value before (empty if it did not exist). Only if that is the expected one, it was replaced.
local current = redis.call('GET', KEYS[1]) or ''
if current == ARGV[1] then
  -- Written twice: two writes of a script are a transaction in the append-only file, as those to a buffer are. Some servers
  -- drop all transactions when they start, because their default user has no rights. Then the checkpoint is lost with the
  -- buffers, which is noticed.
  for _ = 1, 2 do
    redis.call('SET', KEYS[1], ARGV[2])
  end
end
return current
