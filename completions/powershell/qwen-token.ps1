using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'qwen-token' -ScriptBlock {
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
        '--format' { 'raw', 'json', 'header', 'env', 'curl' }
        '--profile' { __qwen_profiles }
    }
    if ($values) {
        return $values | Where-Object { $_ -like "$wordToComplete*" } |
            ForEach-Object { [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_) }
    }
    $command = @(
        'qwen-token'
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
        'qwen-token' {
            [CompletionResult]::new('--min-ttl', '--min-ttl', [CompletionResultType]::ParameterName, 'Refresh a token that lives for less than this')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Print it like this: raw, json, header, env or curl')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Use this profile instead of the default one')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--directory', '--directory', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always or never')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Refresh the token now')
            [CompletionResult]::new('--no-refresh', '--no-refresh', [CompletionResultType]::ParameterName, 'Never refresh: use no network')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Print no token, exit 0 when it is valid and 1 when not; use no network')
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
