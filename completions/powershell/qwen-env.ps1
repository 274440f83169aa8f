using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'qwen-env' -ScriptBlock {
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
        '--chain' { 'first', 'merge' }
        '--color' { 'auto', 'always', 'never' }
        '--format' { 'shell', 'json', 'dotenv', 'null' }
        '--hook' { 'bash', 'zsh', 'fish', 'elvish', 'nu' }
        '--profile' { __qwen_profiles }
        '--shell' { 'sh', 'dash', 'bash', 'zsh', 'ksh', 'mksh', 'busybox', 'yash', 'posh', 'fish', 'tcsh', 'csh', 'elvish', 'xonsh', 'nu', 'pwsh' }
    }
    if ($values) {
        return $values | Where-Object { $_ -like "$wordToComplete*" } |
            ForEach-Object { [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_) }
    }
    $command = @(
        'qwen-env'
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
        'qwen-env' {
            [CompletionResult]::new('--shell', '--shell', [CompletionResultType]::ParameterName, 'Write for this shell instead of the parent process: sh, dash, bash, zsh, ksh, mksh, busybox, yash, posh, fish, tcsh, csh, elvish, xonsh, nu, pwsh')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Write shell code (shell) or data (json, dotenv, null)')
            [CompletionResult]::new('--get', '--get', [CompletionResultType]::ParameterName, 'Print the value of one variable; exit 1 when it is unset')
            [CompletionResult]::new('--hook', '--hook', [CompletionResultType]::ParameterName, 'Print code that re-evaluates on a change of directory, for bash, zsh, fish, elvish or nu')
            [CompletionResult]::new('--chain', '--chain', [CompletionResultType]::ParameterName, 'Combine the files by this rule: first, or merge')
            [CompletionResult]::new('--file', '--file', [CompletionResultType]::ParameterName, 'Use this file instead of the chain')
            [CompletionResult]::new('--trust', '--trust', [CompletionResultType]::ParameterName, 'Trust the project''s file, or FILE, with its present content')
            [CompletionResult]::new('--untrust', '--untrust', [CompletionResultType]::ParameterName, 'Take that trust back')
            [CompletionResult]::new('--profile', '--profile', [CompletionResultType]::ParameterName, 'Use this profile instead of the default one')
            [CompletionResult]::new('-C', '-C ', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--directory', '--directory', [CompletionResultType]::ParameterName, 'Work as if started in this directory')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'When to use colour: auto, always or never')
            [CompletionResult]::new('--explain', '--explain', [CompletionResultType]::ParameterName, 'Tell every file and every variable with its fate, values masked')
            [CompletionResult]::new('--show-secrets', '--show-secrets', [CompletionResultType]::ParameterName, 'With --explain: show the values')
            [CompletionResult]::new('--check', '--check', [CompletionResultType]::ParameterName, 'Look for mistakes in the files; exit 65 when there are any')
            [CompletionResult]::new('--unset', '--unset', [CompletionResultType]::ParameterName, 'Take back what earlier calls exported')
            [CompletionResult]::new('--auth', '--auth', [CompletionResultType]::ParameterName, 'Add OPENAI_API_KEY, OPENAI_BASE_URL and OPENAI_MODEL of the active profile')
            [CompletionResult]::new('--override', '--override', [CompletionResultType]::ParameterName, 'Let the files win over the environment')
            [CompletionResult]::new('--require', '--require', [CompletionResultType]::ParameterName, 'Fail with exit 66 when no file is found')
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
