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

_qwen() {
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
                cmd="qwen"
                ;;
            qwen,auth)
                cmd="qwen__subcmd__auth"
                ;;
            qwen,batch)
                cmd="qwen__subcmd__batch"
                ;;
            qwen,chat)
                cmd="qwen__subcmd__chat"
                ;;
            qwen,env)
                cmd="qwen__subcmd__env"
                ;;
            qwen,help)
                cmd="qwen__subcmd__help"
                ;;
            qwen,login)
                cmd="qwen__subcmd__login"
                ;;
            qwen,token)
                cmd="qwen__subcmd__token"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        qwen)
            opts="-C -q -v -h -V --list --exec-path --profile --directory --quiet --verbose --color --help --version login auth env token chat batch help"
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
        qwen__subcmd__auth)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help"
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
        qwen__subcmd__batch)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help"
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
        qwen__subcmd__chat)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help"
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
        qwen__subcmd__env)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help"
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
        qwen__subcmd__help)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help login auth env token chat batch"
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
        qwen__subcmd__login)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help"
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
        qwen__subcmd__token)
            opts="-C -q -v -h --profile --directory --quiet --verbose --color --help"
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
    complete -F _qwen -o nosort -o bashdefault -o default qwen
else
    complete -F _qwen -o bashdefault -o default qwen
fi

# 'qwen NAME ...' is completed as 'qwen-NAME ...'. A tool's own script is loaded, or asked of it, when it is needed.
_qwen_or_tool() {
    local at=1 tool function known
    while ((at < COMP_CWORD)); do
        case ${COMP_WORDS[at]} in
        --profile | --directory | -C | --color) if [[ ${COMP_WORDS[at + 1]-} == = ]]; then ((at += 3)); else ((at += 2)); fi ;;
        -*) ((at += 1)) ;;
        *) break ;;
        esac
    done
    tool=qwen-${COMP_WORDS[at]}
    if ((at >= COMP_CWORD)) || [[ $tool == qwen-help || $tool == *[!A-Za-z0-9_-]* ]]; then
        _qwen "$@"
        return
    fi
    if ! complete -p "$tool" &>/dev/null; then
        known=$(compgen -W "login auth env token chat batch" -- "${tool#qwen-}")
        if declare -F _comp_load >/dev/null; then
            _comp_load "$tool"
        elif declare -F _completion_loader >/dev/null; then
            _completion_loader "$tool"
        fi &>/dev/null
        if ! [[ $(complete -p "$tool" 2>/dev/null) == *' -F _qwen'* ]] && [[ $known == "${tool#qwen-}" ]]; then
            eval "$("$tool" --generate bash 2>/dev/null </dev/null)"
        fi
    fi
    function=$(complete -p "$tool" 2>/dev/null)
    [[ $function =~ ' -F '([^ ]+) ]] || return 0
    COMP_WORDS=("$tool" "${COMP_WORDS[@]:at+1}")
    ((COMP_CWORD -= at))
    "${BASH_REMATCH[1]}" "$tool" "$2" "$3"
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _qwen_or_tool -o nosort -o bashdefault -o default qwen
else
    complete -F _qwen_or_tool -o bashdefault -o default qwen
fi
