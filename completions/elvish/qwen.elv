# Completion of the qwen tools in elvish: the tools themselves say what may stand at the cursor.
use path
use str
for name [qwen qwen-auth qwen-batch qwen-chat qwen-env qwen-login qwen-proxy qwen-token] {
    set edit:completion:arg-completer[$name] = {|@words|
        var answer = [(try { env QWEN_COMPLETE=elvish (path:base $words[0]) -- $@words 2>/dev/null </dev/null | from-lines } catch { })]
        if (eq $answer []) {
            nop
        } elif (has-value [files directories command] $answer[0]) {
            edit:complete-filename $@words
        } else {
            for line $answer[1..] {
                var value help = (str:split &max=2 "\t" $line)
                edit:complex-candidate $value &display=$value' '$help
            }
        }
    }
}
