use builtin;
use str;

set edit:completion:arg-completer[qwen-env] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen-env'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen-env'= {
            cand --shell 'Write for this shell instead of the parent process: sh, dash, bash, zsh, ksh, mksh, busybox, yash, posh, fish, tcsh, csh, elvish, xonsh, nu, pwsh'
            cand --format 'Write shell code (shell) or data (json, dotenv, null)'
            cand --get 'Print the value of one variable; exit 1 when it is unset'
            cand --hook 'Print code that re-evaluates on a change of directory, for bash, zsh, fish, elvish or nu'
            cand --chain 'Combine the files by this rule: first, or merge'
            cand --file 'Use this file instead of the chain'
            cand --trust 'Trust the project''s file, or FILE, with its present content'
            cand --untrust 'Take that trust back'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --explain 'Tell every file and every variable with its fate, values masked'
            cand --show-secrets 'With --explain: show the values'
            cand --check 'Look for mistakes in the files; exit 65 when there are any'
            cand --unset 'Take back what earlier calls exported'
            cand --auth 'Add OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL of the active profile'
            cand --override 'Let the files win over the environment'
            cand --require 'Fail with exit 66 when no file is found'
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
    var own = $edit:completion:arg-completer[qwen-env]
    var options = [&--chain={ put first merge } &--color={ put auto always never } &--format={ put shell json dotenv null } &--hook={ put bash zsh fish elvish nu } &--profile=$__qwen_profiles~ &--shell={ put sh dash bash zsh ksh mksh busybox yash posh fish tcsh csh elvish xonsh nu pwsh }]
    var operands = [&]
    set edit:completion:arg-completer[qwen-env] = {|@words|
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
