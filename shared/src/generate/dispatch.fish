
# 'qwen NAME ...' is completed as 'qwen-NAME ...'.
function __qwen_tool
    set -l words (commandline -opc)
    set -e words[1]
    while set -q words[1]
        switch $words[1]
            case @VALUED@
                set -e words[1]
            case '-*'
            case '*'
                printf '%s\n' $words
                return 0
        end
        set -e words[1]
    end
    return 1
end
function __qwen_complete_tool
    set -l words (__qwen_tool)
    complete -C (string join ' ' -- qwen-$words[1] (string escape -- $words[2..]) (commandline -ct))
end
complete -c qwen -n '__qwen_tool >/dev/null; and not __fish_qwen_using_subcommand help' -x -a '(__qwen_complete_tool)'
