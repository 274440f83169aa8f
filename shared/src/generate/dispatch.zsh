
# 'qwen NAME ...' is completed as 'qwen-NAME ...'. A tool's own script is asked of it where none is installed.
_qwen_tool() {
    local -i at=2
    while (( at < CURRENT )); do
        case $words[at] in
            (@VALUED@) (( at += 2 )) ;;
            (-*) (( at += 1 )) ;;
            (*) break ;;
        esac
    done
    (( at < CURRENT )) && [[ $words[at] == [A-Za-z0-9_-]## && $words[at] != help ]] || return 1
    local tool=qwen-$words[at]
    if (( ! $+_comps[$tool] )) && [[ ' @TOOLS@ ' == *" $words[at] "* ]]; then
        eval "$($tool --generate zsh 2>/dev/null </dev/null)"
    fi
    (( $+_comps[$tool] )) || return 1
    words=($tool "${(@)words[at+1,-1]}")
    (( CURRENT -= at - 1 ))
    _normal
    return 0
}
