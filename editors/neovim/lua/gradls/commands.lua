-- What the user can ask for: the picture of a gradient, the page of a rule, hints in the code.
local client_of = require('gradls.client')

local M = {}

local HINTS = { 'off', 'cuts', 'all' }
local hints -- what `:GradlsHints` was told, if it was

-- Opens the file `path` with `open` of the setup, or as the system opens files; says where it is if that fails.
local function open(path)
  local chosen = require('gradls').options.open
  if chosen then
    return chosen(path)
  end
  if vim.ui.open then
    local _, failure = vim.ui.open(path)
    if not failure then
      return
    end
  else
    for _, opener in ipairs({ 'xdg-open', 'open', 'explorer.exe' }) do
      if vim.fn.executable(opener) == 1 then
        vim.fn.jobstart({ opener, path }, { detach = true })
        return
      end
    end
  end
  client_of.say('the picture is in ' .. path .. '; nothing was found that opens it')
end

-- Where the cursor is, as the protocol has it.
local function position(client)
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding or 'utf-16')
  return params.textDocument.uri, params.position
end

-- Shows the answer to `gradls.showPicture`.
local function show_picture(answer)
  if not answer.html then
    return client_of.say(answer.message)
  end
  local path = vim.fn.tempname() .. '.html'
  vim.fn.writefile(vim.split(answer.html, '\n', { plain = true }), path)
  open(path)
end

-- Puts the boxes of the answer to `gradls.showPicture` into the location list, which leads to their code.
local function list_boxes(client, answer)
  if not answer.boxes then
    return client_of.say(answer.message)
  end
  local items = {}
  for _, box in ipairs(answer.boxes) do
    if type(box.location) == 'table' then
      local item = vim.lsp.util.locations_to_items({ box.location }, client.offset_encoding or 'utf-16')[1]
      local words = vim.tbl_filter(function(word) return type(word) == 'string' and word ~= '' end, { box.label, box.note })
      item.text = table.concat(words, ': ')
      item.type = box.kind == 'cut' and 'E' or nil
      table.insert(items, item)
    end
  end
  vim.fn.setloclist(0, {}, ' ', { title = answer.title, items = items })
  vim.cmd('lopen')
end

-- Draws the gradient of the cursor's line, or lists the places that it passes if `as_list`.
function M.picture(as_list)
  local client = client_of.current()
  if not client then
    return
  end
  local uri, at = position(client)
  client_of.run(client, 'gradls.showPicture', { uri, at, { show = false } }, function(answer)
    if as_list then
      list_boxes(client, answer)
    else
      show_picture(answer)
    end
  end)
end

-- Shows Markdown in a window of its own, which `q` closes.
local function show_page(title, text)
  local name = 'gradls://' .. title
  local buffer = vim.fn.bufnr('^' .. name .. '$')
  if buffer == -1 then
    buffer = vim.api.nvim_create_buf(false, true)
    vim.api.nvim_buf_set_name(buffer, name)
  end
  vim.bo[buffer].modifiable = true
  vim.api.nvim_buf_set_lines(buffer, 0, -1, false, vim.split(text, '\n', { plain = true }))
  vim.bo[buffer].modifiable = false
  vim.bo[buffer].filetype = 'markdown'
  local window = vim.fn.bufwinid(buffer)
  if window ~= -1 then
    vim.api.nvim_set_current_win(window)
  else
    vim.cmd('botright split')
    vim.api.nvim_win_set_buf(0, buffer)
  end
  vim.api.nvim_win_set_cursor(0, { 1, 0 })
  vim.api.nvim_buf_set_keymap(buffer, 'n', 'q', '<Cmd>close<CR>', { noremap = true, silent = true, nowait = true })
end

-- The codes of the findings on the cursor's line.
local function codes_here()
  local line, found = vim.api.nvim_win_get_cursor(0)[1] - 1, {}
  for _, each in ipairs(vim.diagnostic.get(0)) do
    local code = each.code or vim.tbl_get(each, 'user_data', 'lsp', 'code')
    if each.source == 'gradls' and code and each.lnum <= line and line <= (each.end_lnum or each.lnum) then
      found[code] = true
    end
  end
  found = vim.tbl_keys(found)
  table.sort(found)
  return found
end

-- Shows the page of the rule with this code or name; without one, that of the finding on the cursor's line.
function M.explain(rule)
  local client = client_of.current()
  if not client then
    return
  end
  local function show(code)
    client_of.run(client, 'gradls.explain', { code }, function(answer)
      show_page(answer.rules[1].name, answer.rules[1].page)
    end)
  end
  if rule and rule ~= '' then
    return show(rule)
  end
  local codes = codes_here()
  if #codes == 0 then
    client_of.say('no finding on this line; `:GradlsExplain RULE` explains any rule')
  elseif #codes == 1 then
    show(codes[1])
  else
    vim.ui.select(codes, { prompt = 'Explain' }, function(code)
      if code then
        show(code)
      end
    end)
  end
end

-- Explains an error of PyTorch: the text `given`, or else the lines `first` to `last` of the buffer if there are such, or
-- else what was yanked or copied last. The places of its causes go into the quickfix list.
function M.why(given, first, last)
  local client = client_of.current()
  if not client then
    return
  end
  local text = given
  if text == '' and first then
    text = table.concat(vim.api.nvim_buf_get_lines(0, first - 1, last, false), '\n')
  end
  for _, register in ipairs({ '"', '+' }) do
    text = text ~= '' and text or vim.fn.getreg(register)
  end
  if not text:find('%S') then
    return client_of.say('no error to explain: select its traceback, yank it, or give its message', vim.log.levels.WARN)
  end
  client_of.run(client, 'gradls.why', { text }, function(answer)
    local items = {}
    for _, location in ipairs(answer.locations) do
      local item = vim.lsp.util.locations_to_items({ location }, client.offset_encoding or 'utf-16')[1]
      item.text, item.type = location.message, location.likely and 'E' or 'W'
      table.insert(items, item)
    end
    vim.fn.setqflist({}, ' ', { title = 'gradls: causes', items = items })
    show_page('why', answer.markdown)
  end)
end

-- The codes and names of rules that begin with `start`.
function M.complete_rule(start)
  local client = client_of.all()[1]
  if not client then
    return {}
  end
  local params, answer = { command = 'gradls.explain', arguments = {} }, nil
  if vim.fn.has('nvim-0.11') == 1 then
    answer = client:request_sync('workspace/executeCommand', params, 1000)
  else
    answer = client.request_sync('workspace/executeCommand', params, 1000, 0)
  end
  local words = {}
  for _, rule in ipairs(vim.tbl_get(answer or {}, 'result', 'rules') or {}) do
    table.insert(words, rule.name)
    table.insert(words, rule.code)
  end
  return vim.tbl_filter(function(word) return vim.startswith(word:lower(), start:lower()) end, words)
end

-- Shows the hints of gradls in the buffers that it is attached to.
local function enable_hints(client)
  for buffer in pairs(client.attached_buffers or {}) do
    vim.lsp.inlay_hint.enable(true, { bufnr = buffer })
  end
end

-- Which hints stand in the code: 'off', 'cuts' or 'all'. Hints of other servers stay as they are.
function M.hints(which)
  if not vim.tbl_contains(HINTS, which) then
    return client_of.say('hints are one of ' .. table.concat(HINTS, ', '), vim.log.levels.WARN)
  end
  if not vim.lsp.inlay_hint then
    return client_of.say('hints need Neovim 0.10 or later', vim.log.levels.WARN)
  end
  if not client_of.current() then
    return
  end
  hints = which
  for _, client in ipairs(client_of.all()) do
    local settings = client.settings or client.config.settings or {}
    client_of.set(client, vim.tbl_deep_extend('force', settings, { gradls = { hints = which } }))
    if which ~= 'off' then
      enable_hints(client)
    end
  end
end

function M.complete_hints(start)
  return vim.tbl_filter(function(word) return vim.startswith(word, start) end, HINTS)
end

-- Called when gradls was attached to a buffer.
function M.attached(client)
  -- What the server offers in lenses and actions is shown as the commands show it.
  vim.lsp.commands['gradls.showPicture'] = function(command, context)
    local shown = client_of.all(context and context.bufnr)[1] or client_of.current()
    local at = vim.deepcopy(command.arguments)
    at[3] = { show = false }
    client_of.run(shown, 'gradls.showPicture', at, show_picture)
  end
  vim.lsp.commands['gradls.openDocumentation'] = function(command) M.explain(command.arguments[1].code) end
  if hints and hints ~= 'off' and client then
    M.hints(hints)
  end
end

return M
