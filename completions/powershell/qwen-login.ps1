using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'qwen-login' -ScriptBlock {
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
        '--provider' { 'openai', 'qwen', 'dashscope', 'coding-plan', 'token-plan', 'modelscope', 'openrouter', 'azure-v1', 'azure', 'deepseek', 'requesty', 'xai', 'minimax', 'zai', 'moonshot', 'vllm', 'llama.cpp', 'ollama', 'custom' }
        '--store' { 'auto', 'keyring', 'file' }
    }
    if ($values) {
        return $values | Where-Object { $_ -like "$wordToComplete*" } |
            ForEach-Object { [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_) }
    }
    $command = @(
        'qwen-login'
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
        'qwen-login' {
            [CompletionResult]::new('--provider', '--provider', [CompletionResultType]::ParameterName, 'Use this provider: openai, dashscope, openrouter, …; ''custom'' for any other endpoint')
            [CompletionResult]::new('--base-url', '--base-url', [CompletionResultType]::ParameterName, 'Send requests to this endpoint')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, 'Ask this model')
            [CompletionResult]::new('--store', '--store', [CompletionResultType]::ParameterName, 'Keep the credential there: auto, keyring or file')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Use this profile instead of the default one')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--directory', '--directory', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always or never')
            [CompletionResult]::new('--oauth', '--oauth', [CompletionResultType]::ParameterName, 'Log in through a browser, on this machine or any other')
            [CompletionResult]::new('--api-key', '--api-key', [CompletionResultType]::ParameterName, 'Set up an API key')
            [CompletionResult]::new('--import', '--import', [CompletionResultType]::ParameterName, 'Adopt the login of Qwen Code')
            [CompletionResult]::new('--with-key', '--with-key', [CompletionResultType]::ParameterName, 'Read the API key from standard input')
            [CompletionResult]::new('--no-browser', '--no-browser', [CompletionResultType]::ParameterName, 'Open no browser')
            [CompletionResult]::new('--qr', '--qr', [CompletionResultType]::ParameterName, 'Draw the address as a QR code, however narrow the terminal')
            [CompletionResult]::new('--no-verify', '--no-verify', [CompletionResultType]::ParameterName, 'Store the credential without a trial request')
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
