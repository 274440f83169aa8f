# Completion of the qwen tools in Nushell: the tools themselves say what may stand at the cursor. Other commands keep
# the completer that they have.
let qwen_others = $env.config.completions.external.completer?
$env.config.completions.external.completer = {|spans|
    let name = ($spans.0 | path basename)
    if $name in [qwen qwen-auth qwen-batch qwen-chat qwen-env qwen-login qwen-proxy qwen-token] {
        let answer = (with-env { QWEN_COMPLETE: nushell } { run-external $name "--" ...$spans | complete } | get stdout | lines)
        if ($answer | first) == words {
            $answer | skip 1 | split column "\t" value description
        }
    } else if $qwen_others != null {
        do $qwen_others $spans
    }
}
