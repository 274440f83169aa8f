# Completion of the qwen tools in bash: the tools themselves say what may stand at the cursor.
_qwen() {
    local answer IFS=$'\n'
    answer=$(QWEN_COMPLETE=bash "${1##*/}" -- "${COMP_LINE:0:COMP_POINT}" "$2" 2>/dev/null </dev/null)
    COMPREPLY=()
    case $answer in
    words*)
        compopt +o default -o nosort 2>/dev/null
        read -r -d '' -a COMPREPLY <<<"${answer#words}"
        if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[/=.] ]]; then compopt -o nospace; fi
        ;;
    directories) compopt -o dirnames 2>/dev/null ;;
    command)
        if [[ ${COMP_WORDS[COMP_CWORD - 1]} == -- ]]; then
            read -r -d '' -a COMPREPLY < <(compgen -c -- "$2")
        fi
        ;;
    esac
}
complete -o default -F _qwen qwen qwen-auth qwen-batch qwen-chat qwen-env qwen-login qwen-proxy qwen-token
