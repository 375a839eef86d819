-- Asks pairgate whether a request may go on: http-request lua.pairgate POLICY
--
-- If it may, the identity headers are set, and the variable txn.pairgate. If not, the client gets pairgate's refusal.
-- When there is no answer, or an error in here, HAProxy goes on: refuse whatever has no txn.pairgate.

local PAIRGATE = 'http://127.0.0.1:8787'
-- for each of the four tries that HAProxy 2.6 makes; milliseconds
local TIMEOUT = 1500

-- pairgate sends all of these with a yes, always
local IDENTITY = {
  'remote-user', 'remote-name', 'remote-email', 'remote-groups',
  'x-pairgate-id', 'x-pairgate-client', 'x-pairgate-scope', 'x-pairgate-assertion',
}
-- what the client gets of a refusal, beside its body
local REFUSAL = { 'content-type', 'cache-control', 'retry-after', 'www-authenticate', 'x-pairgate-error' }

-- The value of a header; nil when it is not there, or more than once.
local function only(headers, name)
  local values = headers and headers[name]
  if values == nil or values[1] ~= nil then return nil end
  return values[0]
end

local function ask(txn, policy)
  local headers = { ['x-forwarded-for'] = { txn.f:src() } }
  local credential = only(txn.http:req_get_headers(), 'authorization')
  if credential then headers['authorization'] = { credential } end
  local url = PAIRGATE .. '/authz/forward/' .. policy
  return core.httpclient():get({ url = url, headers = headers, timeout = TIMEOUT })
end

local function refuse(txn, answer)
  local reply = txn:reply({ status = answer.status, body = answer.body })
  for _, name in ipairs(REFUSAL) do
    local value = only(answer.headers, name)
    if value then reply:add_header(name, value) end
  end
  txn:done(reply)
end

core.register_action('pairgate', { 'http-req' }, function(txn, policy)
  local answer = ask(txn, policy)
  if answer == nil then return end
  -- a 503 without it is HAProxy's own: nobody has answered
  if only(answer.headers, 'x-pairgate-error') then return refuse(txn, answer) end
  if answer.status ~= 200 then return end

  for _, name in ipairs(IDENTITY) do
    local value = only(answer.headers, name)
    if value == nil then return end
    txn.http:req_del_header(name)
    if value ~= '' then txn.http:req_set_header(name, value) end
  end
  txn:set_var('txn.pairgate', policy)
end, 1)
