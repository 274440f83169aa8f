    # What only a running tool knows.
    function __qwen_profiles { qwen-auth list --quiet 2>$null | ForEach-Object { ($_.Substring(2) -split ' ')[0] } }
    function __qwen_models {
        qwen-chat --list-models --quiet --retries 0 --max-time 3 2>$null | ForEach-Object { ($_ -split ' ')[0] }
    }
