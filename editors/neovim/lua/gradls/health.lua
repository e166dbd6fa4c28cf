-- `:checkhealth gradls`
local M = {}

-- `vim.health`, whatever the version calls its functions.
local function reporter()
  local health = vim.health or require('health')
  local function named(name) return health[name] or health['report_' .. name] end
  return { start = named('start'), ok = named('ok'), info = named('info'), warn = named('warn'), error = named('error') }
end

-- The server's configuration as the user has it.
local function configuration()
  local running = require('gradls.client').all()[1]
  if running then
    return running.config
  end
  local gradls = require('gradls')
  return vim.lsp.config and vim.lsp.config.gradls or gradls.configured or gradls.config()
end

local function check_server(report, config)
  local command = type(config.cmd) == 'table' and config.cmd[1] or nil
  if not command then
    return report.info('The server is started by a function of your configuration')
  end
  local path = vim.fn.exepath(command)
  if path == '' then
    return report.error('`' .. command .. '` is not on the PATH of Neovim: there is no server', {
      'Install it: `pipx install gradls`, or `pipx install .` in a checkout of gradls',
      "Or name it: `vim.lsp.config('gradls', { cmd = { '/path/to/gradls', 'server' } })` (before 0.11 in `setup`)",
      'If a terminal finds it, start Neovim from that terminal',
    })
  end
  local said = vim.fn.system({ path, '--version' })
  local version = said:match('gradls (%S+)')
  if vim.v.shell_error ~= 0 or not version then
    return report.error('`' .. path .. ' --version` fails: ' .. vim.trim(said), {
      'Install it again: `pipx reinstall gradls`',
    })
  end
  report.ok('Server: gradls ' .. version .. ', ' .. path)
end

local function check_python(report, config)
  local options = config.init_options or {}
  local python = vim.tbl_get(config, 'settings', 'gradls', 'python') or options.python
  if python and vim.fn.executable(python) == 0 then
    report.error('`python` is `' .. python .. '`, which cannot be run', { 'Name the interpreter of your project' })
  elseif python then
    report.ok('Imported packages are looked up with ' .. python)
  else
    report.info("Imported packages are looked up in your project's environment, as far as "
      .. (options.trusted and 'there is one' or 'that needs no run of it (`trusted` is not set)'))
  end
end

local function check_clients(report)
  local clients = require('gradls.client').all()
  for _, client in ipairs(clients) do
    local count = #vim.tbl_filter(function(buffer)
      return vim.lsp.buf_is_attached(buffer, client.id)
    end, vim.api.nvim_list_bufs())
    local root = client.config.root_dir or client.root_dir or 'no project'
    report.ok(('Runs for %s, attached to %d buffer%s'):format(root, count, count == 1 and '' or 's'))
  end
  if #clients == 0 then
    report.warn('The server does not run', {
      'Open a Python file first: it is started for the file type `python`',
      vim.lsp.enable and "`vim.lsp.enable('gradls')` belongs into your init.lua"
        or "`require('gradls').setup()` belongs into your init.lua",
      'What the server said is in ' .. vim.lsp.get_log_path(),
    })
  end
end

function M.check()
  local report = reporter()
  report.start('gradls')
  if vim.fn.has('nvim-0.11') == 1 then
    report.ok('Neovim has vim.lsp.enable()')
  elseif vim.fn.has('nvim-0.7') == 1 then
    report.ok("Neovim before 0.11: require('gradls').setup() starts the server")
  else
    report.error('Neovim is older than 0.7', { 'Install a newer one' })
  end
  if vim.fn.has('nvim-0.10') == 0 then
    report.info('Hints in the code need Neovim 0.10')
  end
  local config = configuration()
  check_server(report, config)
  check_python(report, config)
  check_clients(report)
end

return M
