# what: the message of a merge is git's, after a conflict and in a squash too
# seen: https://github.com/AndreasAugustin/go-gitmoji-cli/issues/55
# asked: 0
git checkout -q -b side
echo side >side
git add side
git commit -qm side
echo theirs >>file
git commit -qam theirs
git checkout -q main
change ours
git commit -qm ours
git merge -q side^
git log -1 --format=%s | grep -q "^Merge .*side"
fails git merge -q side >/dev/null
git add file
git commit -q
is "$(message)" "Merge branch 'side'"
git checkout -q -b other HEAD~2
echo other >other
git add other
git commit -qm other
git checkout -q main
git merge -q --squash other >/dev/null
git commit -q
git log -1 --format=%B | grep -q '^Squashed commit of the following:'
git revert --no-edit HEAD >/dev/null
git log -1 --format=%B | grep -q '^This reverts commit'
