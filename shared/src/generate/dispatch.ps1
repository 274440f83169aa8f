    # 'qwen NAME ...' is completed as 'qwen-NAME ...'.
    $at = 1
    while ($at -lt $commandElements.Count -and ([string]$commandElements[$at]).StartsWith('-')) {
        if ([string]$commandElements[$at] -cin '@VALUED@') { $at += 1 }
        $at += 1
    }
    $last = $commandElements.Count
    if ($wordToComplete) { $last -= 1 }
    if ($at -lt $last -and [string]$commandElements[$at] -cne 'help') {
        $start = $commandElements[$at].Extent.StartOffset
        $line = 'qwen-' + $commandAst.Extent.Text.Substring($start - $commandAst.Extent.StartOffset)
        $line = $line.PadRight($cursorPosition - $start + 5)
        return (TabExpansion2 -inputScript $line -cursorColumn $line.Length).CompletionMatches
    }
