# Completion of the qwen tools in fish: the tools themselves say what may stand at the cursor.
function __qwen_complete
    set -l words (commandline -opc)
    set -l program (string replace -r '.*/' '' -- $words[1])
    set -l answer (QWEN_COMPLETE=fish command $program -- $words (commandline -ct) 2>/dev/null </dev/null)
    switch $answer[1]
        case words
            string join \n -- $answer[2..]
        case files
            set -l option (string match -r -- '^--[^=]*=' (commandline -ct))
            string replace -r -- '^' "$option" (__fish_complete_path (string replace -- "$option" '' (commandline -ct)))
        case directories
            __fish_complete_directories (commandline -ct)
        case command
            set -e words[1..(contains -i -- -- $words)]
            complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
    end
end
for name in qwen qwen-auth qwen-batch qwen-chat qwen-env qwen-login qwen-proxy qwen-token
    complete -c $name -e
    complete -c $name -k -f -a '(__qwen_complete)'
end
