
  # What only a running tool knows.
  def __qwen_profiles [] {
    try {
      ^qwen-auth list --quiet | complete | get stdout | lines | each { str substring 2.. | split row ' ' | first }
    } catch { [] }
  }
  def __qwen_models [] {
    try {
      # Not what could be read as code where it is put in.
      ^qwen-chat --list-models --quiet --retries 0 --max-time 3 | complete | get stdout | lines
      | each { split row ' ' | first } | where $it =~ '^\w[\w.:/@%+-]*$'
    } catch { [] }
  }
