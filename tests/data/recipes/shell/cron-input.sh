# what: what cron gives for standard input is not taken for a part of the question, nor waited for
# seen: https://github.com/s3m/s3m/issues/26
# recipe: Log triage in cron
# asked: 1
# not sent: stray
mkdir ~/.cargo
ln -s "$tools" ~/.cargo/bin
echo 'error: disk' >log
is "$(echo stray | sh ~/recipe log)" answer
