    # What may follow a flag.
    $before = $commandElements.Count - 1
    if ($wordToComplete) { $before -= 1 }
    $values = switch -CaseSensitive ([string]$commandElements[$before]) {
@CASES@
    }
    if ($values) {
        return $values | Where-Object { $_ -like "$wordToComplete*" } |
            ForEach-Object { [CompletionResult]::new($_, $_, [CompletionResultType]::ParameterValue, $_) }
    }
