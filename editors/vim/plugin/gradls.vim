" Commands of gradls that need its command line only.
if exists('g:loaded_gradls')
    finish
endif
let g:loaded_gradls = 1

command! -nargs=? GradlsExplain call gradls#Explain(<q-args>)
command! GradlsPicture call gradls#Picture()
