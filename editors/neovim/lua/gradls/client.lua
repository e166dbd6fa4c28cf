-- The running server, whatever Neovim's version calls the functions.
local M = {}

local has_methods = vim.fn.has('nvim-0.11') == 1

-- The clients of gradls; with `buffer`, those that are attached to it.
function M.all(buffer)
  local found
  if vim.lsp.get_clients then
    found = vim.lsp.get_clients({ name = 'gradls', bufnr = buffer })
  else
    found = vim.lsp.get_active_clients()
  end
  return vim.tbl_filter(function(client)
    return client.name == 'gradls' and (not buffer or vim.lsp.buf_is_attached(buffer, client.id))
  end, found)
end

-- The client of the current buffer, or else any; nil, after saying so, if there is none.
function M.current()
  local client = M.all(vim.api.nvim_get_current_buf())[1] or M.all()[1]
  if not client then
    M.say('the server does not run here; `:checkhealth gradls` says why', vim.log.levels.WARN)
  end
  return client
end

-- Has the server run `command` and gives what it answers to `done`. Failures are shown.
function M.run(client, command, arguments, done)
  local function answered(failure, result)
    if failure then
      M.say(failure.message or tostring(failure), vim.log.levels.ERROR)
    elseif result then
      done(result)
    end
  end
  local params = { command = command, arguments = arguments }
  if has_methods then
    client:request('workspace/executeCommand', params, answered)
  else
    client.request('workspace/executeCommand', params, answered)
  end
end

-- Tells the server the settings `settings`, which the client keeps for when it is asked.
function M.set(client, settings)
  client.config.settings = settings
  if client.settings then
    client.settings = settings
  end
  local params = { settings = settings }
  if has_methods then
    client:notify('workspace/didChangeConfiguration', params)
  else
    client.notify('workspace/didChangeConfiguration', params)
  end
end

-- Shows the user a sentence.
function M.say(text, level)
  vim.notify('gradls: ' .. text, level or vim.log.levels.INFO)
end

return M
