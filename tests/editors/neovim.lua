-- Opens FILE, waits for COUNT diagnostics of gradls, if it is set, does each of STEPS (see below), and quits. What was seen goes to
-- REPORT as JSON, or why not. PATIENCE is how many milliseconds it waits for anything.
local env = vim.env
local report = { errors = {}, notices = {} }
local patience = tonumber(env.PATIENCE)
local buffer, client

local function finish(status)
  local encode = vim.json and vim.json.encode or vim.fn.json_encode
  vim.fn.writefile({ encode(report) }, env.REPORT)
  vim.cmd('cquit ' .. status)
end

local function fail(reason)
  table.insert(report.errors, reason)
  finish(1)
end

local function wait_for(what, condition)
  if not vim.wait(patience, condition, 20) then
    fail('waited in vain for ' .. what)
  end
end

local function clients()
  return vim.tbl_filter(function(each) return each.name == 'gradls' end, vim.lsp.buf_get_clients(buffer))
end
if vim.lsp.get_clients then
  clients = function() return vim.lsp.get_clients({ bufnr = buffer, name = 'gradls' }) end
end

local function count() return #vim.diagnostic.get(buffer) end

local function request(method, params)
  local ask = client.request_sync
  local answer
  if vim.fn.has('nvim-0.11') == 1 then
    answer = ask(client, method, params, patience, buffer)
  else
    answer = ask(method, params, patience, buffer)
  end
  return answer and answer.result
end

local function to_finding()
  local first = vim.diagnostic.get(buffer)[1]
  vim.api.nvim_win_set_cursor(0, { first.lnum + 1, first.col })
end

local steps = {}

function steps.hover()
  to_finding()
  local hover = request('textDocument/hover', vim.lsp.util.make_position_params(0, client.offset_encoding))
  report.hover = hover and hover.contents.value
end

-- An edit that was asked for before the text has changed is applied, and asked for, after it.
function steps.outdated()
  -- Neovim does not look at the version of a text that nobody has changed, which is 0.
  vim.api.nvim_buf_set_lines(buffer, -1, -1, false, { '# edited' })
  to_finding()
  local params = vim.lsp.util.make_range_params(0, client.offset_encoding)
  params.context = { diagnostics = {}, only = { 'quickfix' } }
  for _, action in ipairs(request('textDocument/codeAction', params) or {}) do
    if action.title:find(env.WORD, 1, true) then
      local edit = request('codeAction/resolve', action).edit
      report.offered = edit.documentChanges[1].edits[1].newText
      vim.api.nvim_buf_set_lines(buffer, 0, 0, false, { '# a line above' })
      vim.lsp.util.apply_workspace_edit(edit, client.offset_encoding)
      report.lines = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
      report.resolved = request('codeAction/resolve', action) ~= nil
      return
    end
  end
  fail('there is no such action')
end

function steps.explain()
  to_finding()
  vim.cmd('GradlsExplain')
  wait_for('the page', function() return vim.bo.filetype == 'markdown' end)
  report.page = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
  report.read_only = not vim.bo.modifiable
  vim.cmd('normal q')
  if vim.api.nvim_get_current_buf() ~= buffer then
    fail('q does not close the page')
  end
  report.rules = vim.fn.getcompletion('GradlsExplain tensor-of', 'cmdline')
end

function steps.why()
  local traceback = {
    'Traceback (most recent call last):',
    ('  File "%s", line %d, in <module>'):format(vim.api.nvim_buf_get_name(buffer), vim.fn.line('$')),
    '    loss.backward()',
    'RuntimeError: element 0 of tensors does not require grad and does not have a grad_fn',
  }
  local function page()
    wait_for('the reason', function() return vim.bo.filetype == 'markdown' end)
    local text = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
    vim.cmd('normal q')
    return text
  end
  vim.fn.setreg('"', table.concat(traceback, '\n'))
  vim.cmd('GradlsWhy')
  report.why = page()
  report.causes = {}
  for _, item in ipairs(vim.fn.getqflist()) do
    table.insert(report.causes, { line = item.lnum, name = vim.fn.fnamemodify(vim.fn.bufname(item.bufnr), ':t'), text = item.text })
  end
  vim.cmd('new')
  local log = vim.api.nvim_get_current_buf()
  vim.api.nvim_buf_set_lines(0, 0, -1, false, traceback)
  vim.cmd('%GradlsWhy')
  report.same = page() == report.why
  vim.cmd('bwipeout! ' .. log)
  vim.cmd('GradlsWhy Trying to backward through the graph a second time')
  report.of_words = page()
  vim.api.nvim_set_current_win(vim.fn.bufwinid(buffer))
end

function steps.picture()
  vim.fn.cursor(vim.fn.line('$'), 1)
  vim.cmd('GradlsPicture')
  wait_for('the browser', function() return vim.fn.filereadable(env.OPENED) == 1 end)
  wait_for('its file', function() return (vim.fn.readfile(env.OPENED)[1] or '') ~= '' end)
  report.picture = table.concat(vim.fn.readfile(vim.fn.readfile(env.OPENED)[1]), '\n')
  vim.cmd('GradlsPicture!')
  wait_for('the list', function() return #vim.fn.getloclist(0) > 0 end)
  report.places = {}
  for _, item in ipairs(vim.fn.getloclist(0)) do
    table.insert(report.places, { line = item.lnum, text = item.text, is_cut = item.type == 'E' })
  end
  vim.cmd('lclose')
end

function steps.hints()
  vim.cmd('GradlsHints all')
  if not vim.lsp.inlay_hint then
    return
  end
  local function shown()
    return vim.tbl_map(function(each)
      local label = each.inlay_hint.label
      return type(label) == 'string' and label or label[1].value
    end, vim.lsp.inlay_hint.get({ bufnr = buffer }))
  end
  wait_for('hints', function() return #shown() > 0 end)
  report.hints = shown()
  vim.cmd('GradlsHints off')
  wait_for('hints to go', function() return #shown() == 0 end)
  vim.cmd('GradlsHints cuts')
  wait_for('hints to come back', function() return #shown() > 0 end)
end

function steps.health()
  vim.cmd('checkhealth gradls')
  report.health = table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\n')
  vim.cmd('bwipeout')
end

function steps.action()
  to_finding()
  vim.ui.select = function(items, _, choose)
    for _, item in ipairs(items) do
      if (item[2] or item.action or item).title:find(env.WORD, 1, true) then
        return choose(item)
      end
    end
    fail('none of ' .. #items .. ' actions is ' .. env.WORD)
  end
  if vim.fn.has('nvim-0.8') == 1 then
    vim.lsp.buf.code_action({
      context = { only = { env.KIND } },
      filter = function(action) return action.title:find(env.WORD, 1, true) ~= nil end,
      apply = true,
    })
  else
    vim.lsp.buf.code_action({ only = { env.KIND } })
  end
  wait_for('the change', function() return vim.bo[buffer].modified end)
  wait_for('the diagnostics after it', function() return count() == 0 end)
  vim.cmd('silent write')
end

-- Waits for what is found, and notes it.
local function look()
  wait_for('the server', function() return #clients() == 1 end)
  client = clients()[1]
  if tonumber(env.COUNT) == 0 then
    -- Nothing is to come: a request that has been answered shows that the text has been analysed.
    wait_for('an answer', function() return client.initialized end)
    request('textDocument/hover', vim.lsp.util.make_position_params(0, client.offset_encoding))
    vim.wait(500)
  end
  wait_for('the diagnostics', function() return count() == tonumber(env.COUNT) end)
  report.encoding, report.root = client.offset_encoding, client.config.root_dir or client.root_dir
  report.diagnostics = {}
  for _, found in ipairs(vim.diagnostic.get(buffer)) do
    local text = vim.api.nvim_buf_get_text(buffer, found.lnum, found.col, found.end_lnum, found.end_col, {})
    table.insert(report.diagnostics, {
      code = found.code or found.user_data.lsp.code,
      source = found.source,
      message = found.message,
      error = found.severity == vim.diagnostic.severity.ERROR,
      text = table.concat(text, '\n'),
    })
  end
end

local function run()
  vim.notify = function(text) table.insert(report.notices, text) end
  vim.cmd('edit ' .. vim.fn.fnameescape(env.FILE))
  buffer = vim.api.nvim_get_current_buf()
  if env.COUNT then
    look()
  end
  for _, step in ipairs(vim.split(env.STEPS or '', ',', { trimempty = true })) do
    steps[step]()
  end
  finish(0)
end

local done, reason = xpcall(run, debug.traceback)
if not done then
  fail(reason)
end
