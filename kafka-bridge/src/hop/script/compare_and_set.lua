-- KEYS: the value. ARGV: what it must be (empty: absent), what it becomes. Returns 1 if it was so.
if (redis.call('GET', KEYS[1]) or '') ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
