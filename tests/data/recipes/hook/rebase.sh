# what: a rebase asks nothing, whether it picks, rewords, squashes or melts
# seen: https://github.com/di-sukharev/opencommit/issues/493
# seen: https://github.com/tom-doerr/chatgpt_commit_message_hook/pull/2
# asked: 0
for n in a b c d; do
    echo $n >$n
    git add $n
    git commit -qm $n
done
git rebase -q --force-rebase HEAD~3
is "$(git log --format=%s | paste -sd ' ')" 'd c b a first'
GIT_SEQUENCE_EDITOR="sed -i -e '1s/^pick/reword/' -e '2s/^pick/squash/' -e '3s/^pick/fixup/'" git rebase -q -i HEAD~3
is "$(message)" "$(printf 'b\n\nc')"
git checkout -q -b side HEAD~1
echo other >b
git add b
git commit -qm side
fails git rebase -q main 2>/dev/null >/dev/null
git add b
git rebase --continue >/dev/null
is "$(message)" side
