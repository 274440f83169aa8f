# What only a running tool knows.
__qwen_profiles() {
    local -a found=(${(f)"$(qwen-auth list --quiet 2>/dev/null </dev/null | cut -c3-)"})
    compadd "$@" -- ${found%%[[:blank:]]*}
}
__qwen_models() {
    local -a found=(${(f)"$(qwen-chat --list-models --quiet --retries 0 --max-time 3 2>/dev/null </dev/null)"})
    compadd "$@" -- ${found%%[[:blank:]]*}
}
