    # What only a running tool knows.
    function __qwen_profiles { qwen-auth list --quiet 2>$null | ForEach-Object { ($_.Substring(2) -split ' ')[0] } }
    function __qwen_models {
        # Not what could be read as code where it is put in.
        qwen-chat --list-models --quiet --retries 0 --max-time 3 2>$null |
            ForEach-Object { ($_ -split ' ')[0] } | Where-Object { $_ -match '^\w[\w.:/@%+-]*$' }
    }
