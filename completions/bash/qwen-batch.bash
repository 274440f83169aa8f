# What only a running tool knows. 'compgen -W' expands its words as code: none passes that could be read as such.
__qwen_safe() {
    local word _
    while read -r word _; do
        case $word in '' | -* | *[!A-Za-z0-9._:/@%+-]*) ;; *) printf '%s\n' "$word" ;; esac
    done
}
__qwen_profiles() { qwen-auth list --quiet 2>/dev/null </dev/null | cut -c3- | __qwen_safe; }
__qwen_models() { qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | __qwen_safe; }

# Options only where one has been begun.
__qwen_among() {
    if [[ $2 == -* ]]; then compgen -W "$1" -- "$2"; else compgen -W "$1" -- "$2" | grep -v '^-'; fi
}

_qwen__batch() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    if [[ ${COMP_WORDS[COMP_CWORD]} == = ]]; then
        cur=""
    elif [[ ${prev} == = ]]; then
        prev="${COMP_WORDS[COMP_CWORD-2]}"
    fi
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="qwen__batch"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        qwen__batch)
            opts="-C -q -v -h -V --profile --directory --quiet --verbose --color --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --profile)
                    COMPREPLY=($(compgen -W "$(__qwen_profiles)" -- "${cur}"))
                    return 0
                    ;;
                --directory)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs
                    fi
                    return 0
                    ;;
                -C)
                    COMPREPLY=()
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o plusdirs
                    fi
                    return 0
                    ;;
                --color)
                    COMPREPLY=($(compgen -W "auto always never" -- "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _qwen__batch -o nosort -o bashdefault -o default qwen-batch
else
    complete -F _qwen__batch -o bashdefault -o default qwen-batch
fi
