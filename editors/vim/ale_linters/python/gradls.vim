" gradls for ALE, which finds it if this folder is in 'runtimepath' and g:ale_linters names it.

call ale#Set('python_gradls_executable', 'gradls')
call ale#Set('python_gradls_init_options', {})
call ale#Set('python_gradls_config', {})

function! ale_linters#python#gradls#Root(buffer) abort
    for l:name in ['gradls.toml', 'pyproject.toml', 'setup.py', 'setup.cfg', 'requirements.txt']
        let l:found = ale#path#FindNearestFile(a:buffer, l:name)
        if !empty(l:found)
            return fnamemodify(l:found, ':h')
        endif
    endfor
    let l:git = ale#path#FindNearestDirectory(a:buffer, '.git')
    return !empty(l:git) ? fnamemodify(l:git, ':h:h') : expand('#' . a:buffer . ':p:h')
endfunction

" ALE counts in bytes whatever a server means, and does not say so.
function! ale_linters#python#gradls#Options(buffer) abort
    return extend({'positionEncoding': 'utf-8'}, ale#Var(a:buffer, 'python_gradls_init_options'))
endfunction

call ale#linter#Define('python', {
\   'name': 'gradls',
\   'lsp': 'stdio',
\   'executable': {b -> ale#Var(b, 'python_gradls_executable')},
\   'command': '%e server',
\   'project_root': function('ale_linters#python#gradls#Root'),
\   'initialization_options': function('ale_linters#python#gradls#Options'),
\   'lsp_config': {b -> ale#Var(b, 'python_gradls_config')},
\ })
