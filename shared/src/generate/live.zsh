# What only a running tool knows.
__qwen_live() {
    local -a found
    local command=$1
    shift
    found=(${(f)"$(${(z)command} 2>/dev/null </dev/null)"})
    compadd "$@" -- ${found%%[[:blank:]]*}
}
__qwen_profiles() { __qwen_live 'qwen-auth list --names' "$@" }
__qwen_models() { __qwen_live 'qwen-chat --list-models --quiet --retries 0 --max-time 3' "$@" }
