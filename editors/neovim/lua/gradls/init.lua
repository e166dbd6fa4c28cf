-- gradls in Neovim: how the server is started, in every version from 0.7 on.
local M = {}

local here = vim.fn.fnamemodify(debug.getinfo(1, 'S').source:sub(2), ':p:h:h:h')

-- What `setup` was given beyond the configuration of the server.
M.options = {}
-- The configuration that `setup` has made, before Neovim 0.11.
M.configured = nil

-- The nearest folder above the file `path` that has one of `markers`, or nil.
local function root_of(path, markers)
  local folder = vim.fn.fnamemodify(path, ':p:h')
  while true do
    for _, marker in ipairs(markers) do
      if vim.loop.fs_stat(folder .. '/' .. marker) then
        return folder
      end
    end
    local above = vim.fn.fnamemodify(folder, ':h')
    if above == folder then
      return nil
    end
    folder = above
  end
end

-- The configuration of the server with `overrides`, as nvim-lspconfig takes it: `root_dir` is a function of a path.
function M.config(overrides)
  local config = dofile(here .. '/lsp/gradls.lua')
  local markers = config.root_markers
  config.root_markers = nil
  config.name = 'gradls'
  config.root_dir = function(path) return root_of(path, markers) end
  config.single_file_support = true
  return vim.tbl_deep_extend('force', config, overrides or {})
end

-- Without `vim.lsp.start`: one client for each root.
local clients = {}

local function start_client(config)
  local key = config.root_dir or ''
  if not (clients[key] and vim.lsp.get_client_by_id(clients[key])) then
    -- Neovim 0.7 keeps the settings to itself: it does not say that it can be asked for them.
    local settings = (config.settings or {}).gradls or {}
    config.init_options = vim.tbl_deep_extend('force', config.init_options or {}, settings)
    clients[key] = vim.lsp.start_client(config)
  end
  if clients[key] then
    vim.lsp.buf_attach_client(0, clients[key])
    require('gradls.commands').attached()
  end
end

-- Starts the server for the current buffer, or attaches the one that runs for its project. For Neovim before 0.11.
function M.start(config)
  local path = vim.api.nvim_buf_get_name(0)
  if vim.bo.buftype ~= '' or path == '' then
    return
  end
  config = vim.deepcopy(config)
  if type(config.root_dir) == 'function' then
    config.root_dir = config.root_dir(path)
  end
  if vim.lsp.start then
    vim.lsp.start(config)
  else
    start_client(config)
  end
end

-- Has the server started for Python files, with `options` like those of `vim.lsp.config()`. One more: `open`, a function
-- that shows the file whose path it gets, instead of the browser.
function M.setup(options)
  options = vim.deepcopy(options or {})
  M.options.open, options.open = options.open, nil
  if vim.lsp.enable then
    vim.lsp.config('gradls', options)
    vim.lsp.enable('gradls')
    return
  end
  local config = M.config(options)
  M.configured = config
  local group = vim.api.nvim_create_augroup('gradls.start', {})
  vim.api.nvim_create_autocmd('FileType', {
    group = group,
    pattern = config.filetypes,
    callback = function() M.start(config) end,
  })
  for _, buffer in ipairs(vim.api.nvim_list_bufs()) do
    if vim.api.nvim_buf_is_loaded(buffer) and vim.tbl_contains(config.filetypes, vim.bo[buffer].filetype) then
      vim.api.nvim_buf_call(buffer, function() M.start(config) end)
    end
  end
end

return M
