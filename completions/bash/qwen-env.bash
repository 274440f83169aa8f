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

_qwen__env() {
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
    for ((at = 1; at < COMP_CWORD; at++)); do
        if [[ ${COMP_WORDS[at]} == -- ]]; then
            if ((at + 1 == COMP_CWORD)); then
                COMPREPLY=($(compgen -c -- "${cur}"))
            fi
            return 0
        fi
    done
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="qwen__env"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        qwen__env)
            opts="-C -q -v -h -V --shell --format --get --explain --show-secrets --check --hook --unset --auth --chain --override --file --require --trust --untrust --profile --directory --quiet --verbose --color --help --version"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(__qwen_among "${opts}" "${cur}") )
                return 0
            fi
            case "${prev}" in
                --shell)
                    COMPREPLY=($(compgen -W "sh dash bash zsh ksh mksh busybox yash posh fish tcsh csh elvish xonsh nu pwsh" -- "${cur}"))
                    return 0
                    ;;
                --format)
                    COMPREPLY=($(compgen -W "shell json dotenv null" -- "${cur}"))
                    return 0
                    ;;
                --get)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --hook)
                    COMPREPLY=($(compgen -W "bash zsh fish elvish nu" -- "${cur}"))
                    return 0
                    ;;
                --chain)
                    COMPREPLY=($(compgen -W "first merge" -- "${cur}"))
                    return 0
                    ;;
                --file)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=($(compgen -f "${cur}"))
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --trust)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=($(compgen -f "${cur}"))
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
                    return 0
                    ;;
                --untrust)
                    local oldifs
                    if [ -n "${IFS+x}" ]; then
                        oldifs="$IFS"
                    fi
                    IFS=$'\n'
                    COMPREPLY=($(compgen -f "${cur}"))
                    if [ -n "${oldifs+x}" ]; then
                        IFS="$oldifs"
                    fi
                    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
                        compopt -o filenames
                    fi
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
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _qwen__env -o nosort -o bashdefault -o default qwen-env
else
    complete -F _qwen__env -o bashdefault -o default qwen-env
fi
