-- KEYS: the key
-- ARGV: its expected value (empty if it must not exist), its new value
-- Returns: 1 if the value was as expected and was replaced, else 0
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
