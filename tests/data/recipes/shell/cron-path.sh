# what: programs that are not in cron's short PATH are found
# seen: https://github.com/asifbacchus/MailcowBackup/issues/10
# seen: https://github.com/trick77/nftables-blacklist/issues/36
# recipe: Log triage in cron
# asked: 1
mkdir ~/.cargo
ln -s "$tools" ~/.cargo/bin
echo 'error: disk' >log
is "$(env -i HOME="$HOME" PATH=/usr/bin:/bin OPENAI_API_KEY=x OPENAI_BASE_URL="$OPENAI_BASE_URL" sh ~/recipe log)" answer
