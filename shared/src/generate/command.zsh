
# The command after '--', and its arguments as that command has them.
__qwen_command() {
    if [[ $words[1] == -- ]]; then
        words=("${(@)words[2,-1]}")
        (( CURRENT -= 1 ))
    fi
    _normal
}
