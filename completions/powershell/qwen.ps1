# Completion of the qwen tools in PowerShell 7.3 or later: the tools themselves say what may stand at the cursor.
Register-ArgumentCompleter -Native -CommandName qwen, qwen-auth, qwen-batch, qwen-chat, qwen-env, qwen-login, qwen-proxy, qwen-token -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $words = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition } | ForEach-Object { "$_".Trim("'", '"') })
    $current = "$wordToComplete".Trim("'", '"')
    $env:QWEN_COMPLETE = 'powershell'
    try { $answer = @(& (Split-Path -Leaf $words[0]) -- @words $current 2>$null) } catch { } finally { $env:QWEN_COMPLETE = $null }
    if ($answer[0] -eq 'words') {
        $answer | Select-Object -Skip 1 | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $(if ($help) { $help } else { $value }))
        }
    }
}
