use builtin;
use str;

set edit:completion:arg-completer[qwen-auth] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen-auth'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen-auth'= {
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand status 'Show what is in use, and who says so'
            cand list 'List the profiles; a star marks the one in use'
            cand use 'Make a profile the one in use, at once and everywhere'
            cand logout 'Revoke and remove the credential of a profile, by default of the one in use'
        }
        &'qwen-auth;status'= {
            cand --format 'How to print it: text or json'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-auth;list'= {
            cand --format 'How to print it: text or json'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-auth;use'= {
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'qwen-auth;logout'= {
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --all 'Remove the credentials of all profiles'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
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
    var own = $edit:completion:arg-completer[qwen-auth]
    var options = [&--color={ put auto always never } &--format={ put text json } &--profile=$__qwen_profiles~]
    var operands = [&use=$__qwen_profiles~ &logout=$__qwen_profiles~]
    set edit:completion:arg-completer[qwen-auth] = {|@words|
        var path = [(each {|word| if (has-value [status list use logout] $word) { put $word } } $words[1..-1] | take 1)]
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
