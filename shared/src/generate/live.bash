# What only a running tool knows. 'compgen -W' expands its words as code: none passes that could be read as such.
__qwen_live() {
    local word _
    "$@" 2>/dev/null </dev/null | while read -r word _; do
        case $word in '' | -* | *[!A-Za-z0-9._:/@%+-]*) ;; *) printf '%s\n' "$word" ;; esac
    done
}
__qwen_profiles() { __qwen_live qwen-auth list --names; }
__qwen_models() { __qwen_live qwen-chat --list-models --quiet --retries 0 --max-time 3; }
