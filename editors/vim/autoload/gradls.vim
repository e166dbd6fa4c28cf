" The page of a rule, and the picture of a gradient.

function! s:Executable() abort
    return get(b:, 'ale_python_gradls_executable', get(g:, 'ale_python_gradls_executable', 'gradls'))
endfunction

function! s:Say(text) abort
    echohl WarningMsg | echomsg 'gradls: ' . a:text | echohl None
endfunction

" The code of a finding of ALE on the cursor's line, or ''.
function! s:CodeHere() abort
    let l:code = ''
    if exists('*ale#engine#GetLoclist')
        for l:found in ale#engine#GetLoclist(bufnr(''))
            if l:found.lnum == line('.') && get(l:found, 'linter_name', '') is# 'gradls'
                let l:code = get(l:found, 'code', '')
            endif
        endfor
    endif
    return l:code
endfunction

" Shows the page of the rule with this code or name; of ''  that of the finding on the cursor's line.
function! gradls#Explain(rule) abort
    let l:rule = empty(a:rule) ? s:CodeHere() : a:rule
    if empty(l:rule)
        return s:Say('no finding on this line; `:GradlsExplain RULE` explains any rule')
    endif
    let l:page = systemlist(shellescape(s:Executable()) . ' explain ' . shellescape(l:rule))
    if v:shell_error
        return s:Say(join(l:page, ' '))
    endif
    botright new
    setlocal buftype=nofile bufhidden=wipe noswapfile nobuflisted
    call setline(1, l:page)
    setlocal nomodifiable
    nnoremap <buffer> <silent> <nowait> q :close<CR>
endfunction

" The command that opens files as the desktop does, or ''.
function! s:Opener() abort
    for l:name in [get(g:, 'gradls_opener', ''), 'xdg-open', 'open', 'explorer.exe']
        if !empty(l:name) && executable(l:name)
            return l:name
        endif
    endfor
    return ''
endfunction

" Draws the gradient of the cursor's line, in the text as it is in the buffer, and opens it in the browser.
function! gradls#Picture() abort
    let l:path = tempname() . '.html'
    let l:name = empty(expand('%')) ? 'buffer.py' : expand('%:p')
    let l:command = map([s:Executable(), 'graph', '--stdin-filename', l:name, '-o', l:path, '--', '-:' . line('.')], 'shellescape(v:val)')
    let l:said = system(join(l:command), join(getline(1, '$'), "\n") . "\n")
    if v:shell_error
        return s:Say(trim(l:said))
    endif
    let l:opener = s:Opener()
    if empty(l:opener)
        return s:Say('the picture is in ' . l:path . '; nothing was found that opens it')
    endif
    call system(shellescape(l:opener) . ' ' . shellescape(l:path))
endfunction
