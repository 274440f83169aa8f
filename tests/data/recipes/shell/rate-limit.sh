# what: a limit whose wait stands in the words is waited for, so that no loop needs a pause of its own
# seen: https://github.com/0xacx/chatGPT-shell-cli/issues/114
# recipe: A loop
# server: limits
# asked: 4
printf '%s\n' one two >issues.txt
. ~/recipe >labels 2>said
is "$(cat labels)" "$(printf 'answer\tone\nanswer\ttwo')"
grep -qi limit said
