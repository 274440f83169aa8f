using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'qwen-chat' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    # What only a running tool knows.
    function __qwen_profiles { qwen-auth list --quiet 2>$null | ForEach-Object { ($_.Substring(2) -split ' ')[0] } }
    function __qwen_models {
        # Not what could be read as code where it is put in.
        qwen-chat --list-models --quiet --retries 0 --max-time 3 2>$null |
            ForEach-Object { ($_ -split ' ')[0] } | Where-Object { $_ -match '^\w[\w.:/@%+-]*$' }
    }
    $commandElements = $commandAst.CommandElements
    # What may follow a flag.
    $before = $commandElements.Count - 1
    if ($wordToComplete) { $before -= 1 }
    $values = switch -CaseSensitive ([string]$commandElements[$before]) {
        '--color' { 'auto', 'always', 'never' }
        '--model' { __qwen_models }
        '--profile' { __qwen_profiles }
        '--reasoning' { 'drop', 'stderr', 'stdout' }
        '-m' { __qwen_models }
    }
    if ($values) {
        return $values | Where-Object { $_ -like "$wordToComplete*" } |
            ForEach-Object { [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_) }
    }
    $command = @(
        'qwen-chat'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'qwen-chat' {
            [CompletionResult]::new('--openai-api-key', '--openai-api-key', [CompletionResultType]::ParameterName, 'API key; anybody on this machine can read it from the process list')
            [CompletionResult]::new('--openai-base-url', '--openai-base-url', [CompletionResultType]::ParameterName, 'Base URL of the API, such as https://api.openai.com/v1')
            [CompletionResult]::new('-m', '-m', [CompletionResultType]::ParameterName, 'Model to ask')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Model to ask')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Prompt as one option, the way Qwen Code takes it; goes before the words')
            [CompletionResult]::new('--prompt', '--prompt', [CompletionResultType]::ParameterName, 'Prompt as one option, the way Qwen Code takes it; goes before the words')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Instructions to the model, as text or from a file')
            [CompletionResult]::new('--system', '--system', [CompletionResultType]::ParameterName, 'Instructions to the model, as text or from a file')
            [CompletionResult]::new('-f', '-f', [CompletionResultType]::ParameterName, 'Add a text file with its name; may be given several times')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Add a text file with its name; may be given several times')
            [CompletionResult]::new('-i', '-i', [CompletionResultType]::ParameterName, 'Add an image; may be given several times')
            [CompletionResult]::new('--image', '--image', [CompletionResultType]::ParameterName, 'Add an image; may be given several times')
            [CompletionResult]::new('--stdin-timeout', '--stdin-timeout', [CompletionResultType]::ParameterName, 'Give up when standard input brings nothing in this time')
            [CompletionResult]::new('--session', '--session', [CompletionResultType]::ParameterName, 'Keep the conversation under this name and go on with it')
            [CompletionResult]::new('--temperature', '--temperature', [CompletionResultType]::ParameterName, 'Sampling temperature')
            [CompletionResult]::new('--top-p', '--top-p', [CompletionResultType]::ParameterName, 'Nucleus sampling threshold')
            [CompletionResult]::new('--max-tokens', '--max-tokens', [CompletionResultType]::ParameterName, 'Most tokens of the answer')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Seed for a repeatable answer')
            [CompletionResult]::new('--stop', '--stop', [CompletionResultType]::ParameterName, 'Stop before this text; may be given several times')
            [CompletionResult]::new('--param', '--param', [CompletionResultType]::ParameterName, 'Set any member of the request; null takes it away')
            [CompletionResult]::new('--schema', '--schema', [CompletionResultType]::ParameterName, 'Ask for JSON by this schema, and check that the answer fits')
            [CompletionResult]::new('--reasoning', '--reasoning', [CompletionResultType]::ParameterName, 'What to do with the model''s reasoning: drop, stderr or stdout')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Try again so many times when the server is busy or the connection fails [default: 3]')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Limit for the connection [default: 10]')
            [CompletionResult]::new('--first-byte-timeout', '--first-byte-timeout', [CompletionResultType]::ParameterName, 'Limit for the beginning of the answer [default: 120]')
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'Limit for a pause within the answer [default: 60]')
            [CompletionResult]::new('--max-time', '--max-time', [CompletionResultType]::ParameterName, 'Limit for everything, retries included [default: none]')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Use this profile instead of the default one')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--directory', '--directory', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always or never')
            [CompletionResult]::new('--list-models', '--list-models', [CompletionResultType]::ParameterName, 'Print the models that the endpoint offers')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the request instead of sending it, and where each setting came from')
            [CompletionResult]::new('--curl', '--curl', [CompletionResultType]::ParameterName, 'Print a curl command that sends the request with a key from qwen-token')
            [CompletionResult]::new('--stdin', '--stdin', [CompletionResultType]::ParameterName, 'Read standard input to its end, whatever it is')
            [CompletionResult]::new('--no-stdin', '--no-stdin', [CompletionResultType]::ParameterName, 'Do not read standard input')
            [CompletionResult]::new('--continue', '--continue', [CompletionResultType]::ParameterName, 'Go on with the session used last')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print one JSON object at the end')
            [CompletionResult]::new('--events', '--events', [CompletionResultType]::ParameterName, 'Print one JSON object per line as things happen')
            [CompletionResult]::new('--no-stream', '--no-stream', [CompletionResultType]::ParameterName, 'Ask for the answer in one piece')
            [CompletionResult]::new('--extract', '--extract', [CompletionResultType]::ParameterName, 'Print only the first fenced code block')
            [CompletionResult]::new('--usage', '--usage', [CompletionResultType]::ParameterName, 'Say on standard error what the answer cost')
            [CompletionResult]::new('--strict', '--strict', [CompletionResultType]::ParameterName, 'Exit 1 when the answer was cut by a limit or a filter')
            [CompletionResult]::new('--no-pace', '--no-pace', [CompletionResultType]::ParameterName, 'Do not wait for the quota')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing but errors')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'Say how things were decided; never shows a secret')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'Say how things were decided; never shows a secret')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
