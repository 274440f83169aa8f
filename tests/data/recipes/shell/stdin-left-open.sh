# what: the standard input that a program leaves open to what it starts is not waited for when it is told so
# seen: https://github.com/earendil-works/pi/issues/5571
# seen: https://github.com/openai/codex/issues/20919
# seen: https://github.com/vamseeachanta/digitalmodel/issues/2060
# asked: 1
mkfifo open
exec 3<>open
is "$(qwen-chat --no-stdin hi <&3)" answer
code=0
qwen-chat --stdin-timeout 1 hi <&3 2>/dev/null || code=$?
is $code 75
