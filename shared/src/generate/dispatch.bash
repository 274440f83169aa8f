
# 'qwen NAME ...' is completed as 'qwen-NAME ...'. A tool's own script is loaded, or asked of it, when it is needed.
_qwen_or_tool() {
    local at=1 tool function known
    while ((at < COMP_CWORD)); do
        case ${COMP_WORDS[at]} in
        @VALUED@) if [[ ${COMP_WORDS[at + 1]-} == = ]]; then ((at += 3)); else ((at += 2)); fi ;;
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
        known=$(compgen -W "@TOOLS@" -- "${tool#qwen-}")
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
