-- The commands of gradls. The server is started by `vim.lsp.enable('gradls')` or `require('gradls').setup()`.
if vim.g.loaded_gradls then
  return
end
vim.g.loaded_gradls = true

vim.api.nvim_create_user_command('GradlsPicture', function(command)
  require('gradls.commands').picture(command.bang)
end, { bang = true, desc = "Draw the gradient of the cursor's line; with !, list the places that it passes" })

vim.api.nvim_create_user_command('GradlsExplain', function(command)
  require('gradls.commands').explain(command.args)
end, {
  nargs = '?',
  complete = function(start) return require('gradls.commands').complete_rule(start) end,
  desc = "Explain a rule, or that of the finding on the cursor's line",
})

vim.api.nvim_create_user_command('GradlsWhy', function(command)
  local ranged = command.range > 0
  require('gradls.commands').why(command.args, ranged and command.line1, command.line2)
end, { nargs = '*', range = true, desc = 'Explain an error of PyTorch: a message, the selected lines, or what was yanked' })

vim.api.nvim_create_user_command('GradlsHints', function(command)
  require('gradls.commands').hints(command.args)
end, {
  nargs = 1,
  complete = function(start) return require('gradls.commands').complete_hints(start) end,
  desc = 'Which hints stand in the code: off, cuts or all',
})

if vim.fn.exists('##LspAttach') == 1 then
  vim.api.nvim_create_autocmd('LspAttach', {
    group = vim.api.nvim_create_augroup('gradls', {}),
    callback = function(event)
      local client = vim.lsp.get_client_by_id(event.data.client_id)
      if client and client.name == 'gradls' then
        require('gradls.commands').attached(client)
      end
    end,
  })
end
