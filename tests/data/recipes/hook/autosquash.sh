# what: the marks of an automatic squash stay
# seen: https://github.com/compilerla/conventional-pre-commit/issues/4
# seen: https://github.com/pjcj/Devel--Cover/pull/471
# asked: 0
change two
git commit -q --fixup HEAD
is "$(message)" 'fixup! first'
change three
git commit -q --squash HEAD~1
is "$(git log -1 --format=%s)" 'squash! first'
change four
git commit -q --fixup amend:HEAD~2
is "$(git log -1 --format=%s)" 'amend! first'
