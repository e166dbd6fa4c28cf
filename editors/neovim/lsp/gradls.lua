-- gradls in Neovim 0.11 and later. Enable it with `vim.lsp.enable('gradls')`.
return {
  cmd = { 'gradls', 'server' },
  filetypes = { 'python' },
  root_markers = { 'gradls.toml', 'pyproject.toml', 'setup.py', 'setup.cfg', 'requirements.txt', '.git' },
  init_options = {
    -- true lets gradls run the interpreter of the project's environment, to find out what imported names are.
    -- Say so only for code that you trust.
    trusted = false,
  },
}
