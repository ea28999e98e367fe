-- KEYS: the key
-- ARGV: its expected value (empty if it must not exist), its new value
-- Returns: its value before (empty if it did not exist). Only if that is the expected one, it was replaced.
local current = redis.call('GET', KEYS[1]) or ''
if current == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[2])
end
return current
