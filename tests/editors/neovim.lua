-- Opens FILE with gradls, waits for COUNT diagnostics, applies the code action of the kind KIND whose title has the
-- word WORD, waits until AFTER diagnostics are left, and saves. What was seen goes to REPORT as JSON, or why not.
local env = vim.env
local report = { errors = {} }

local function finish(status)
  vim.fn.writefile({ vim.json.encode(report) }, env.REPORT)
  vim.cmd('cquit ' .. status)
end

local function fail(reason)
  table.insert(report.errors, reason)
  finish(1)
end

local function wait_for(what, condition)
  if not vim.wait(20000, condition, 20) then
    fail('waited in vain for ' .. what)
  end
end

local function run()
  vim.opt.runtimepath:prepend(env.PLUGIN)
  if env.CONFIG then
    vim.lsp.config('gradls', vim.json.decode(env.CONFIG))
  end
  vim.lsp.enable('gradls')
  vim.cmd('filetype on')
  vim.cmd('edit ' .. vim.fn.fnameescape(env.FILE))
  local buffer = vim.api.nvim_get_current_buf()
  local function count()
    return #vim.diagnostic.get(buffer)
  end

  wait_for('the server', function() return #vim.lsp.get_clients({ bufnr = buffer, name = 'gradls' }) == 1 end)
  local client = vim.lsp.get_clients({ bufnr = buffer, name = 'gradls' })[1]
  report.encoding, report.root = client.offset_encoding, client.root_dir
  wait_for('an answer', function() return client.initialized end)
  if tonumber(env.COUNT) == 0 then
    -- Nothing is to come: a request that has been answered shows that the text has been analysed.
    client:request_sync('textDocument/hover', vim.lsp.util.make_position_params(0, report.encoding), 20000, buffer)
    vim.wait(500)
  end
  wait_for('the diagnostics', function() return count() == tonumber(env.COUNT) end)
  report.diagnostics = {}
  for _, found in ipairs(vim.diagnostic.get(buffer)) do
    local text = vim.api.nvim_buf_get_text(buffer, found.lnum, found.col, found.end_lnum, found.end_col, {})
    table.insert(report.diagnostics, {
      code = found.code,
      source = found.source,
      message = found.message,
      error = found.severity == vim.diagnostic.severity.ERROR,
      text = table.concat(text, '\n'),
    })
  end
  if not env.KIND then
    return finish(0)
  end

  local first = vim.diagnostic.get(buffer)[1]
  vim.api.nvim_win_set_cursor(0, { first.lnum + 1, first.col })
  local hover = client:request_sync(
    'textDocument/hover', vim.lsp.util.make_position_params(0, report.encoding), 20000, buffer
  )
  report.hover = hover and hover.result and hover.result.contents.value
  vim.ui.select = function(items) fail('asked to choose among ' .. #items .. ' actions') end
  vim.lsp.buf.code_action({
    context = { only = { env.KIND } },
    filter = function(action) return action.title:find(env.WORD, 1, true) ~= nil end,
    apply = true,
  })
  wait_for('the change', function() return vim.bo[buffer].modified end)
  wait_for('the diagnostics after it', function() return count() == tonumber(env.AFTER) end)
  vim.cmd('silent write')
  finish(0)
end

local done, reason = xpcall(run, debug.traceback)
if not done then
  fail(reason)
end
