# what: a login that was stored in a file is found with no more than a home directory in the environment
# seen: https://github.com/dropbox/dbxcli/issues/128
# seen: https://github.com/Lexus2016/hermes-agent-evolution/issues/124
# recipe: Log triage in cron
# asked: 2
mkdir ~/.cargo
ln -s "$tools" ~/.cargo/bin
url=$OPENAI_BASE_URL
unset OPENAI_API_KEY OPENAI_BASE_URL OPENAI_MODEL
echo sk-stored | env -i HOME="$HOME" PATH="$tools:/usr/bin:/bin" qwen-login --with-key --store file \
    --provider custom --base-url "$url" --model tiny 2>/dev/null
echo 'error: disk' >log
is "$(env -i HOME="$HOME" PATH=/usr/bin:/bin sh ~/recipe log)" answer
