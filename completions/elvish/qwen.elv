use builtin;
use str;

set edit:completion:arg-completer[qwen] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen'= {
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --list 'List the tools that can be run, and what they do'
            cand --exec-path 'Print the directory that is searched before PATH'
            cand -q 'Say nothing but errors'
            cand --quiet 'Say nothing but errors'
            cand -v 'Say how things were decided; never shows a secret'
            cand --verbose 'Say how things were decided; never shows a secret'
            cand -h 'Print help'
            cand --help 'Print help'
            cand -V 'Print version'
            cand --version 'Print version'
            cand login 'Obtain a credential and store it'
            cand auth 'Show, switch and remove credentials'
            cand env 'Print the resolved .env chain as shell code'
            cand token 'Print a valid token, refreshing it when due'
            cand chat 'Ask a model one question and print its answer'
            cand batch 'Ask a model many questions: JSONL in, JSONL out'
            cand help 'Print the help of a tool'
        }
        &'qwen;login'= {
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
        &'qwen;auth'= {
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
        &'qwen;env'= {
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
        &'qwen;token'= {
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
        &'qwen;chat'= {
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
        &'qwen;batch'= {
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
        &'qwen;help'= {
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
    var own = $edit:completion:arg-completer[qwen]
    var options = [&--color={ put auto always never } &--profile=$__qwen_profiles~]
    var operands = [&help={ put login auth env token chat batch }]
    set edit:completion:arg-completer[qwen] = {|@words|
        var path = [(each {|word| if (has-value [login auth env token chat batch help] $word) { put $word } } $words[1..-1] | take 1)]
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

# 'qwen NAME ...' is completed as 'qwen-NAME ...'.
{
    var own = $edit:completion:arg-completer[qwen]
    set edit:completion:arg-completer[qwen] = {|@words|
        var last = (- (count $words) 1)
        var at = 1
        while (and (< $at $last) (str:has-prefix $words[$at] '-')) {
            if (has-value [--profile --directory -C --color] $words[$at]) {
                set at = (+ $at 1)
            }
            set at = (+ $at 1)
        }
        if (and (< $at $last) (has-key $edit:completion:arg-completer qwen-$words[$at])) {
            $edit:completion:arg-completer[qwen-$words[$at]] qwen-$words[$at] (all $words[(+ $at 1)..])
        } else {
            $own $@words
        }
    }
}
