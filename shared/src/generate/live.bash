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
