# What only a running tool knows, and begins with what has been typed before the last colon. 'compgen -W' expands its words
# as code: none passes that could be read as such.
__qwen_safe() {
    local word _
    while read -r word _; do
        [[ $word == "$1"* ]] || continue
        word=${word#"$1"}
        case $word in '' | -* | *[!A-Za-z0-9._:/@%+-]*) ;; *) printf '%s\n' "$word" ;; esac
    done
}
__qwen_profiles() { qwen-auth list --quiet 2>/dev/null </dev/null | cut -c3- | __qwen_safe "$1"; }
__qwen_models() { qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null | __qwen_safe "$1"; }

# Options only where one has been begun.
__qwen_among() {
    if [[ $2 == -* ]]; then compgen -W "$1" -- "$2"; else compgen -W "$1" -- "$2" | grep -v '^-'; fi
}

_qwen__auth() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    local at=${COMP_CWORD} begun=""
    if [[ ${COMP_WORDS[at]} == [:=] ]]; then
        cur=""
    else
        at=$((at - 1))
    fi
    while ((at > 1)) && [[ ${COMP_WORDS[at]} == : ]]; do
        begun="${COMP_WORDS[at-1]}:${begun}"
        at=$((at - 2))
    done
    if [[ ${COMP_WORDS[at]} == = ]]; then
        at=$((at - 1))
    fi
    prev="${COMP_WORDS[at]}"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="qwen__auth"
                ;;
            qwen__auth,list)
                cmd="qwen__auth__subcmd__list"
                ;;
            qwen__auth,logout)
                cmd="qwen__auth__subcmd__logout"
                ;;
            qwen__auth,status)
                cmd="qwen__auth__subcmd__status"
                ;;
            qwen__auth,use)
                cmd="qwen__auth__subcmd__use"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        qwen__auth)
            opts="-C -q -v -h -V --profile --directory --quiet --verbose --color --help --version status list use logout"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --profile)
                    COMPREPLY=($(compgen -W "$(__qwen_profiles "${begun}")" -- "${cur}"))
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
        qwen__auth__subcmd__list)
            opts="-C -q -v -h --format --profile --directory --quiet --verbose --color --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --profile)
                    COMPREPLY=($(compgen -W "$(__qwen_profiles "${begun}")" -- "${cur}"))
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
        qwen__auth__subcmd__logout)
            opts="-C -q -v -h --all --profile --directory --quiet --verbose --color --help $(__qwen_profiles "${begun}")"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --profile)
                    COMPREPLY=($(compgen -W "$(__qwen_profiles "${begun}")" -- "${cur}"))
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
        qwen__auth__subcmd__status)
            opts="-C -q -v -h --format --profile --directory --quiet --verbose --color --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --profile)
                    COMPREPLY=($(compgen -W "$(__qwen_profiles "${begun}")" -- "${cur}"))
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
        qwen__auth__subcmd__use)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help $(__qwen_profiles "${begun}")"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --profile)
                    COMPREPLY=($(compgen -W "$(__qwen_profiles "${begun}")" -- "${cur}"))
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
    complete -F _qwen__auth -o nosort -o bashdefault -o default qwen-auth
else
    complete -F _qwen__auth -o bashdefault -o default qwen-auth
fi
