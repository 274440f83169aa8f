use builtin;
use str;

set edit:completion:arg-completer[qwen-login] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'qwen-login'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'qwen-login'= {
            cand --provider 'Use this provider: openai, dashscope, openrouter, …; ''custom'' for any other endpoint'
            cand --base-url 'Send requests to this endpoint'
            cand --model 'Ask this model'
            cand --store 'Keep the credential there: auto, keyring or file'
            cand --profile 'Use this profile instead of the default one'
            cand -C 'Work as if started in this directory'
            cand --directory 'Work as if started in this directory'
            cand --color 'When to use colour: auto, always or never'
            cand --oauth 'Log in through a browser, on this machine or any other'
            cand --api-key 'Set up an API key'
            cand --import 'Adopt the login of Qwen Code'
            cand --with-key 'Read the API key from standard input'
            cand --no-browser 'Open no browser'
            cand --qr 'Draw the address as a QR code, however narrow the terminal'
            cand --no-verify 'Store the credential without a trial request'
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
    var own = $edit:completion:arg-completer[qwen-login]
    var options = [&--color={ put auto always never } &--model=$__qwen_models~ &--profile=$__qwen_profiles~ &--provider={ put openai qwen dashscope coding-plan token-plan modelscope openrouter azure-v1 azure deepseek requesty xai minimax zai moonshot vllm llama.cpp ollama custom } &--store={ put auto keyring file }]
    var operands = [&]
    set edit:completion:arg-completer[qwen-login] = {|@words|
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
