" Opens $FILE with ALE and gradls, does what a user does, and saves. What was seen goes to $REPORT as JSON, or why not.
" $PATIENCE is how many milliseconds it waits for anything.
let s:report = {'error': v:null}

function! s:End(error) abort
    let s:report.error = a:error
    call writefile([json_encode(s:report)], $REPORT)
    cquit
endfunction

function! s:Wait(what, condition) abort
    let l:start = reltime()
    while reltimefloat(reltime(l:start)) * 1000 < str2nr($PATIENCE)
        if eval(a:condition)
            return
        endif
        sleep 50m
    endwhile
    throw 'waited in vain for ' . a:what
endfunction

function! s:Found() abort
    return filter(copy(ale#engine#GetLoclist(bufnr(''))), 'get(v:val, "linter_name", "") is# "gradls"')
endfunction

" A stand-in for the user, who answers ALE's menu with the number of the line that has $WORD in it.
runtime autoload/ale/util.vim
function! ale#util#Input(message, value, ...) abort
    for l:line in split(a:message, "\n")
        if stridx(l:line, $WORD) >= 0
            return matchstr(l:line, '\d\+')
        endif
    endfor
    throw 'no action has ' . $WORD . ': ' . a:message
endfunction

try
    execute 'edit' fnameescape($FILE)
    " In batch mode Vim does not begin by itself.
    ALELint
    call s:Wait('the finding', '!empty(s:Found())')
    let s:found = s:Found()[0]
    let s:report.found = {'line': s:found.lnum, 'column': s:found.col, 'type': s:found.type, 'text': s:found.text,
    \   'code': get(s:found, 'code', '')}

    call cursor(s:found.lnum, s:found.col)
    ALEHover
    call s:Wait('the hover', 'bufwinnr("ALEPreviewWindow") > 0 || !empty(popup_list()) || execute("messages") =~# "no gradient"')
    let s:report.hover = execute('messages') . join(bufexists('ALEPreviewWindow') ? getbufline('ALEPreviewWindow', 1, '$') : [], "\n")

    GradlsExplain
    let s:report.page = join(getline(1, '$'), "\n")
    normal q
    execute bufwinnr(bufnr($FILE)) . 'wincmd w'

    call cursor(line('$'), 1)
    GradlsPicture
    call s:Wait('the browser', 'filereadable($OPENED) && !empty(readfile($OPENED))')
    let s:report.picture = join(readfile(readfile($OPENED)[0]), "\n") =~# '<svg'

    call cursor(s:found.lnum, s:found.col)
    ALECodeAction
    call s:Wait('the change', '&modified')
    silent write
    call s:Wait('the finding to go', 'empty(s:Found())')
    call s:End(v:null)
catch
    call s:End(v:exception . ' at ' . v:throwpoint)
endtry
