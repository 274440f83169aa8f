use builtin;
use str;

set edit:completion:arg-completer[qwen-token] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen-token'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen-token'= {
            cand --min-ttl 'Refresh a token that lives for less than this'
            cand --format 'Print it like this: raw, json, header, env or curl'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --refresh 'Refresh the token now'
            cand --no-refresh 'Never refresh: use no network'
            cand --check 'Print no token, exit 0 when it is valid and 1 when not; use no network'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
        }
    ]
    $completions[$command]
}

# What may follow a flag or a subcommand; and operands are passed over, so that flags after them are completed.
{
    fn words {|start command @arguments|
        try {
            (external $command) --quiet $@arguments < /dev/null 2> /dev/null | from-lines | each {|line|
                str:split &max=2 ' ' $line[$start..] | take 1
            }
        } catch _ {
            nop
        }
    }
    fn __qwen_profiles { words 2 qwen-auth list }
    fn __qwen_models { words 0 qwen-chat --list-models --retries 0 --max-time 3 }
    var own = $edit:completion:arg-completer[qwen-token]
    var options = [&--color={ put auto always never } &--format={ put raw json header env curl } &--profile=$__qwen_profiles~]
    var operands = [&]
    set edit:completion:arg-completer[qwen-token] = {|@words|
        var path = [(each {|word| if (has-value [] $word) { put $word } } $words[1..-1] | take 1)]
        var operand = (if (eq $path []) { put '' } else { put $path[0] })
        if (has-key $options $words[-2]) {
            $options[$words[-2]]
        } elif (and (has-key $operands $operand) (not (str:has-prefix $words[-1] '-'))) {
            $operands[$operand]
        } else {
            $own $words[0] $@path $words[-1]
        }
    }
}
